package kafka

import (
	"fmt"
	"slices"
	"strings"
)

// properties are the known names with the values they may have; nil is any.
var properties = map[string][]string{
	"security.protocol":                     {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"},
	"sasl.mechanism":                        {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"},
	"sasl.jaas.config":                      nil,
	"sasl.username":                         nil,
	"sasl.password":                         nil,
	"ssl.truststore.location":               nil,
	"ssl.truststore.type":                   {"PEM"},
	"ssl.truststore.certificates":           nil,
	"ssl.keystore.location":                 nil,
	"ssl.keystore.type":                     {"PEM"},
	"ssl.keystore.certificate.chain":        nil,
	"ssl.keystore.key":                      nil,
	"ssl.ca.location":                       nil,
	"ssl.certificate.location":              nil,
	"ssl.key.location":                      nil,
	"ssl.endpoint.identification.algorithm": {"https", ""},
	"client.id":                             nil,
	"client.rack":                           nil,
}

// instead says where a familiar property that we do not take went.
var instead = map[string]string{
	"bootstrap.servers":       "write the addresses under brokers",
	"ssl.keystore.password":   "encrypted keys are not read: decrypt the PEM file",
	"ssl.key.password":        "encrypted keys are not read: decrypt the PEM file",
	"ssl.truststore.password": "a PEM truststore has no password",
	"acks":                    "fixed: all",
	"enable.idempotence":      "fixed: true",
	"isolation.level":         "fixed by each program",
	"enable.auto.commit":      "fixed: false",
	"auto.offset.reset":       "fixed: none",
}

func validateProperties(p map[string]string) []string {
	var faults []string
	for _, name := range sortedKeys(p) {
		allowed, known := properties[name]
		switch {
		case !known && instead[name] != "":
			faults = append(faults, fmt.Sprintf("properties.%s: not a setting here (%s)", name, instead[name]))
		case !known:
			faults = append(faults, fmt.Sprintf("properties.%s: unknown (did you mean %s?)", name, nearest(name)))
		case allowed != nil && !slices.Contains(allowed, p[name]):
			faults = append(faults, fmt.Sprintf("properties.%s: must be one of %s (got %q)", name, strings.Join(allowed, ", "), p[name]))
		}
	}
	faults = append(faults, validateSASL(p)...)
	return append(faults, validateTLS(p)...)
}

func validateSASL(p map[string]string) []string {
	protocol := p["security.protocol"]
	if !strings.HasPrefix(protocol, "SASL_") {
		for _, n := range []string{"sasl.mechanism", "sasl.jaas.config", "sasl.username", "sasl.password"} {
			if _, ok := p[n]; ok {
				return []string{"properties.security.protocol: must be SASL_SSL or SASL_PLAINTEXT where sasl properties are set (got " + quoteOr(protocol, "none") + ")"}
			}
		}
		return nil
	}
	var faults []string
	if p["sasl.mechanism"] == "" {
		faults = append(faults, "properties.sasl.mechanism: required with "+protocol)
	}
	if _, _, err := credentials(p); err != nil {
		faults = append(faults, "properties."+err.Error())
	}
	return faults
}

func validateTLS(p map[string]string) []string {
	var faults []string
	uses := p["security.protocol"] == "SSL" || p["security.protocol"] == "SASL_SSL"
	if !uses {
		for _, n := range sortedKeys(p) {
			if strings.HasPrefix(n, "ssl.") && properties[n] == nil && instead[n] == "" && p[n] != "" {
				if _, known := properties[n]; known {
					return []string{"properties.security.protocol: must be SSL or SASL_SSL where " + n + " is set"}
				}
			}
		}
		return nil
	}
	need := func(a, b string) {
		if (p[a] == "") != (p[b] == "") {
			faults = append(faults, fmt.Sprintf("properties.%s: required together with %s", a, b))
		}
	}
	need("ssl.certificate.location", "ssl.key.location")
	need("ssl.keystore.certificate.chain", "ssl.keystore.key")
	for _, store := range []string{"ssl.truststore", "ssl.keystore"} {
		if p[store+".location"] != "" && p[store+".type"] != "PEM" {
			faults = append(faults, "properties."+store+".type: must be PEM (Java keystores are not read: convert with keytool and openssl)")
		}
	}
	return faults
}

// nearest is the known name with the least edits; ties go to the first by name.
func nearest(name string) string {
	best, bestDist := "", 1<<30
	for _, known := range KnownProperties() {
		if d := editDistance(name, known); d < bestDist {
			best, bestDist = known, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}

func quoteOr(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
