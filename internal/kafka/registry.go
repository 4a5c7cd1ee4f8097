package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"rampstream/internal/stream"
)

// Registry speaks to a schema registry with Confluent's REST API. Its methods
// may be called concurrently. It caches nothing.
type Registry struct {
	cl *sr.Client
}

// registryProperties are the known names, Confluent's own where it has one.
var registryProperties = map[string]bool{
	"basic.auth.user.info": true, "basic.auth.credentials.source": true, "bearer.auth.token": true,
	"ssl.truststore.location": true, "ssl.truststore.type": true, "ssl.truststore.certificates": true,
	"ssl.keystore.location": true, "ssl.keystore.type": true, "ssl.keystore.certificate.chain": true, "ssl.keystore.key": true,
	"ssl.ca.location": true, "ssl.certificate.location": true, "ssl.key.location": true,
}

// OpenRegistry makes a client; it does not connect. base may have a path, as
// Apicurio's .../apis/ccompat/v7. Credentials belong into
// props["basic.auth.user.info"] (user:password), never into the URL. What
// CheckRegistry finds is ErrRefused.
func OpenRegistry(base string, props map[string]string) (*Registry, error) {
	opts, err := registryOptions(base, props)
	if err != nil {
		return nil, fmt.Errorf("registry %w: %w", err, stream.ErrRefused)
	}
	cl, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("registry client: %w", err)
	}
	return &Registry{cl: cl}, nil
}

// CheckRegistry says what is wrong with a URL and properties, nil for nothing. It
// reads the files that they name.
func CheckRegistry(base string, props map[string]string) error {
	_, err := registryOptions(base, props)
	return err
}

func registryOptions(base string, props map[string]string) ([]sr.ClientOpt, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("url: must be http(s)://host[:port][/path]")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("url: must have no credentials, query or fragment; use basic.auth.user.info")
	}
	for _, k := range sortedKeys(props) {
		if !registryProperties[k] {
			return nil, fmt.Errorf("property %s: unknown", k)
		}
	}
	switch source := props["basic.auth.credentials.source"]; {
	case source != "" && source != "USER_INFO":
		return nil, errors.New("property basic.auth.credentials.source: must be USER_INFO")
	case source != "" && props["basic.auth.user.info"] == "":
		return nil, errors.New("property basic.auth.user.info: required with basic.auth.credentials.source")
	}
	opts := []sr.ClientOpt{sr.URLs(strings.TrimRight(base, "/")), sr.UserAgent("rampstream")}
	if info := props["basic.auth.user.info"]; info != "" {
		user, pass, ok := strings.Cut(info, ":")
		if !ok {
			return nil, errors.New("property basic.auth.user.info: must be user:password")
		}
		opts = append(opts, sr.BasicAuth(user, pass))
	}
	if token := props["bearer.auth.token"]; token != "" {
		opts = append(opts, sr.BearerToken(token))
	}
	tlsCfg, err := tlsConfig(props)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsCfg
	return append(opts, sr.HTTPClient(&http.Client{
		Timeout:   10 * time.Second,
		Transport: transport,
		// A redirect would carry the credentials to a host that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})), nil
}

// ErrNotRegistered: the registry does not have our schema under the subject.
var ErrNotRegistered = errors.New("not registered")

// Lookup finds the id of exactly this schema under subject. A schema that is not
// there is ErrNotRegistered and ErrRefused, with the command that registers it.
func (r *Registry) Lookup(ctx context.Context, subject, schema string) (int, error) {
	ss, err := r.cl.LookupSchema(ctx, subject, avro(schema))
	if notFound(err) {
		return 0, fmt.Errorf("our schema of subject %s is %w; rampctl schemas register registers it: %w", subject, ErrNotRegistered, stream.ErrRefused)
	}
	if err != nil {
		return 0, registryError("look up schema of "+subject, err)
	}
	if ss.Schema.Schema == "" && ss.ID == 0 {
		return 0, fmt.Errorf("look up schema of %s: %w", subject, errSaysNothing)
	}
	return ss.ID, nil
}

// Register sets the compatibility level of subject (FULL_TRANSITIVE and the
// like) and then creates the schema under it. Registering what is there is no
// change. A schema that is not compatible is ErrRefused.
func (r *Registry) Register(ctx context.Context, subject, schema, compatibility string) (int, error) {
	var level sr.CompatibilityLevel
	if err := level.UnmarshalText([]byte(compatibility)); err != nil {
		return 0, fmt.Errorf("compatibility %q: unknown: %w", compatibility, stream.ErrRefused)
	}
	for _, res := range r.cl.SetCompatibility(ctx, sr.SetCompatibility{Level: level}, subject) {
		if res.Err != nil {
			return 0, registryError("set compatibility of "+subject, res.Err)
		}
	}
	id, err := r.cl.RegisterSchema(ctx, subject, avro(schema), -1, -1)
	if err != nil {
		return 0, registryError("register schema of "+subject, err)
	}
	return id, nil
}

// ErrNoSchema: the registry has no schema of that id.
var ErrNoSchema = errors.New("no such schema in the registry")

// SchemaByID gives the text of a schema. An unknown id is ErrNoSchema.
func (r *Registry) SchemaByID(ctx context.Context, id int) (string, error) {
	s, err := r.cl.SchemaByID(ctx, id)
	if notFound(err) {
		return "", fmt.Errorf("schema %d: %w", id, ErrNoSchema)
	}
	if err != nil {
		return "", registryError(fmt.Sprintf("schema %d", id), err)
	}
	if s.Schema == "" {
		return "", fmt.Errorf("schema %d: %w", id, errSaysNothing)
	}
	return s.Schema, nil
}

// ErrNotCompatible: the level of the subject does not allow our schema.
var ErrNotCompatible = errors.New("not compatible")

// Check asks whether schema could be registered under subject now, beside every
// version that is there; nil says yes. A subject without a schema accepts any. An
// incompatible one is ErrNotCompatible and ErrRefused.
func (r *Registry) Check(ctx context.Context, subject, schema string) error {
	const every = -2 // as the library has it
	res, err := r.cl.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, every, avro(schema))
	if notFound(err) {
		return nil
	}
	if err != nil {
		return registryError("check schema of "+subject, err)
	}
	if !res.Is {
		return fmt.Errorf("schema of %s is %w: %.500s: %w", subject, ErrNotCompatible, strings.Join(res.Messages, "; "), stream.ErrRefused)
	}
	return nil
}

func avro(text string) sr.Schema { return sr.Schema{Schema: text, Type: sr.TypeAvro} }

// errSaysNothing is an answer without what was asked for. Taken for one it would be
// kept: the meaning of an id does not change.
var errSaysNothing = fmt.Errorf("what answers at registry.url is no schema registry, or one that is away: %w", stream.ErrTransient)

// notFound reports that a registry answered that it does not have what was asked
// for: its error codes 40401 to 40499. A 404 without one is somebody else's, a
// proxy's whose registry is away, or a path that is wrong. Taken for an answer it
// would make a dead letter of every record.
func notFound(err error) bool {
	var re *sr.ResponseError
	return errors.As(err, &re) && re.StatusCode == http.StatusNotFound && re.ErrorCode/100 == http.StatusNotFound
}

// registryError classifies by status: the server's trouble and the network's
// are transient, everything else is a refusal. The message is the registry's
// short one; a body is not repeated.
func registryError(op string, err error) error {
	var re *sr.ResponseError
	if errors.As(err, &re) {
		return fmt.Errorf("%s: %w", op, answerError(re))
	}
	if isTrustFailure(err) {
		return fmt.Errorf("%s: registry: %w: %w", op, stream.ErrRefused, err)
	}
	// What was asked is in op; the library would say the URL twice more. All that the
	// client's transport says is the network's, but for the end of who asks.
	var ne net.Error
	network := errors.As(err, &ne) && !errors.Is(err, context.Canceled)
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err
	}
	if network || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: registry: %w: %w", op, stream.ErrTransient, err)
	}
	return fmt.Errorf("%s: registry: %w", op, err)
}

func answerError(re *sr.ResponseError) error {
	switch {
	case re.StatusCode == http.StatusNotFound && !notFound(re):
		return fmt.Errorf("no schema registry answers at registry.url: 404 without an error code, so the path is wrong (Apicurio's is /apis/ccompat/v7) or a proxy's registry is away: %w", stream.ErrTransient)
	case re.StatusCode >= 500, re.StatusCode == http.StatusTooManyRequests, re.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("registry answered %d (code %d) %.200q: %w", re.StatusCode, re.ErrorCode, re.Message, stream.ErrTransient)
	}
	return fmt.Errorf("registry answered %d (code %d) %.200q: %w", re.StatusCode, re.ErrorCode, re.Message, stream.ErrRefused)
}
