package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// EnvPrefix starts the name of every environment variable that is a key. The
// rest is the path in upper case, joined by underscores: RAMP_KAFKA_BROKERS is
// kafka.brokers, RAMP_INGEST_ADMIN_LISTEN is ingest.admin_listen,
// RAMP_ACCOUNTS_0_API_PRIVATE_KEY is the first account's api.private_key, and
// RAMP_KAFKA_PROPERTIES_SASL_MECHANISM is the property sasl.mechanism. Lists
// are comma separated, except lists of secrets, which are one secret or
// numbered (..._SECRETS_0, ..._SECRETS_1).
const EnvPrefix = "RAMP_"

// EnvFile names the configuration file where no flag does; it is not a key.
const EnvFile = "RAMP_CONFIG"

// serviceLink matches what Kubernetes injects for a Service whose name starts
// with ramp-: no key of ours ends that way, so those are not typing errors.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// variables turns os.Environ's form into a map.
func variables(env []string) map[string]string {
	vars := make(map[string]string, len(env))
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			vars[k] = v
		}
	}
	return vars
}

// applyEnv writes every RAMP_ variable into raw. Names are taken in order, so
// that numbered elements of a list are appended one after the other.
func applyEnv(raw map[string]any, vars map[string]string, fs *faults) {
	var names []string
	for name := range vars {
		if strings.HasPrefix(name, EnvPrefix) && name != EnvFile && !serviceLink.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, byNumber)
	for _, name := range names {
		path, ok := envPath(root(), "", strings.TrimPrefix(name, EnvPrefix))
		if !ok {
			like := nearestEnv(name)
			fs.add(name, "environment variable of no known key%s", like)
			continue
		}
		if set(root(), raw, path, vars[name]) == nil {
			fs.add(name, "does not fit the list: elements are numbered from 0 without a gap")
		}
	}
}

func nearestEnv(name string) string {
	if like := nearest(strings.ToLower(name), lower(EnvNames())); like != "" {
		return ", did you mean " + strings.ToUpper(like) + "?"
	}
	return ""
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	return out
}

// byNumber orders names so that _2 comes before _10.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// EnvNames lists the variables of all keys that are not inside a list or a map.
func EnvNames() []string {
	var out []string
	var add func(n *node, prefix string)
	add = func(n *node, prefix string) {
		for _, name := range n.names {
			child, at := n.fields[name], prefix+strings.ToUpper(name)
			switch {
			case child.kind == kindStruct:
				add(child, at+"_")
			case child.kind == kindList && child.elem.kind == kindStruct, child.kind == kindMap:
			default:
				out = append(out, at)
			}
		}
	}
	add(root(), EnvPrefix)
	return out
}

// envPath finds the key that rest names below n, itself called name.
func envPath(n *node, name, rest string) ([]string, bool) {
	switch {
	case rest == "":
		return nil, n.kind != kindStruct && n.kind != kindMap
	case n.kind == kindStruct:
		for _, field := range n.names {
			after, ok := strings.CutPrefix(rest, strings.ToUpper(field))
			if !ok || after != "" && after[0] != '_' {
				continue
			}
			if path, ok := envPath(n.fields[field], field, strings.TrimPrefix(after, "_")); ok {
				return append([]string{field}, path...), true
			}
		}
	case n.kind == kindList:
		number, after, _ := strings.Cut(rest, "_")
		if _, err := strconv.ParseUint(number, 10, 16); err != nil {
			return nil, false
		}
		path, ok := envPath(n.elem, "", after)
		return append([]string{number}, path...), ok
	case n.kind == kindMap && name == "properties":
		return []string{strings.ReplaceAll(strings.ToLower(rest), "_", ".")}, true
	}
	return nil, false
}

// applyOverrides writes dotted keys into raw: "ingest.listen",
// "kafka.properties.sasl.mechanism", "accounts.0.api.base_url".
func applyOverrides(raw map[string]any, overrides map[string]any, fs *faults) {
	for _, key := range sortedKeys(overrides) {
		path := dottedPath(root(), key)
		if set(root(), raw, path, overrides[key]) == nil {
			fs.add(key, "does not fit the list: elements are numbered from 0 without a gap")
		}
	}
}

// dottedPath cuts key along the tree; the name below a map keeps its dots.
func dottedPath(n *node, key string) []string {
	var path []string
	for key != "" && n != nil && n.kind != kindMap {
		var name string
		name, key, _ = strings.Cut(key, ".")
		path = append(path, name)
		if n.kind == kindList {
			n = n.elem
		} else {
			n = n.fields[name]
		}
	}
	if key != "" {
		path = append(path, key)
	}
	return path
}

// set writes value at path below raw and returns raw, or nil when path numbers
// an element that no list can have. Sections and lists on the way are made.
func set(n *node, raw any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	if n != nil && n.kind == kindList {
		list, _ := raw.([]any)
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i > len(list) {
			return nil
		}
		if i == len(list) {
			list = append(list, nil)
		}
		if list[i] = set(n.elem, list[i], path[1:], value); list[i] == nil {
			return nil
		}
		return list
	}
	m, ok := raw.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	child := set(n.child(path[0]), m[path[0]], path[1:], value)
	if child == nil {
		return nil
	}
	m[path[0]] = child
	return m
}

// child is the node below n under name, or nil.
func (n *node) child(name string) *node {
	switch {
	case n == nil:
		return nil
	case n.kind == kindMap:
		return n.elem
	}
	return n.fields[name]
}
