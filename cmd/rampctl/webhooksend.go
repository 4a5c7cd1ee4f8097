package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

func (c *cli) webhookSign() *cobra.Command {
	var account, at, body string
	var whole bool
	cmd := &cobra.Command{
		Use: "sign", Short: "Make the headers with which a body is believed", Args: args(cobra.NoArgs),
		Long: `Sign a body with the first configured secret of an account, as the provider
would, and print the headers. With --request the whole request is printed, as
verify and send read it. Kanga and KunaCore sign nothing.`,
		Example: "  rampctl webhook sign --account kado/acme --body delivery.json --request > delivery.http",
	}
	cmd.Flags().StringVar(&account, "account", "", "as kado/acme; not needed where only one is configured")
	cmd.Flags().StringVar(&body, "body", "-", "file with the body, byte for byte, or - for standard input")
	cmd.Flags().StringVar(&at, "at", "", "the signed time, RFC 3339 or milliseconds; where empty, now")
	cmd.Flags().BoolVar(&whole, "request", false, "print the whole request as HTTP text")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b, err := readInput(body, cmd.InOrStdin())
		if err != nil {
			return err
		}
		when, err := instantOr(at, time.Now())
		if err != nil {
			return err
		}
		path, header, err := c.signed(account, b, when)
		if err != nil {
			return err
		}
		switch {
		case whole:
			_, err = c.out.Write(httpText(path, header, b))
			return err
		case c.json():
			return c.line(object{{"method", http.MethodPost}, {"path", path}, {"headers", flat(header)}})
		}
		for _, name := range slices.Sorted(maps.Keys(header)) {
			fmt.Fprintf(c.out, "%s: %s\n", name, strings.Join(header[name], ", "))
		}
		return nil
	}
	return cmd
}

// signed gives the path of an account's route and the headers for a body.
func (c *cli) signed(account string, body []byte, at events.Millis) (string, map[string][]string, error) {
	a, caps, address, err := c.route(account)
	if err != nil {
		return "", nil, err
	}
	dbg, ok := caps.Webhook.(providers.WebhookDebugger)
	if !ok || !caps.Authenticated {
		return "", nil, fmt.Errorf("%w: the deliveries of %s/%s are not signed: there is nothing to sign", errUsage, a.Provider, a.Account)
	}
	header, err := dbg.SignWebhook(body, at)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	path := "/v1/webhooks/" + string(a.Provider) + "/" + string(a.Account)
	if u, err := url.Parse(address); err == nil && u.Path != "" {
		path = u.EscapedPath()
	}
	return path, header, nil
}

func flat(header map[string][]string) map[string]string {
	out := map[string]string{}
	for name, values := range header {
		out[name] = strings.Join(values, ", ")
	}
	return out
}

// httpText is a request as verify and send read it.
func httpText(path string, header map[string][]string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\n", path)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, v := range header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	b.Write(body)
	return b.Bytes()
}

// hopByHop are headers that belong to a connection and not to a request.
var hopByHop = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Te", "Trailer", "Proxy-Connection", "Proxy-Authorization",
}

func (c *cli) webhookSend() *cobra.Command {
	var account, target string
	var resign bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "send FILE|-", Short: "Send a saved request to a URL, and print the answer", Args: args(cobra.ExactArgs(1)),
		Long: `Send a saved request, as it is, and print the status and body of the answer.
The method, headers and body are those of the file; the URL is --url, with the
query of the file where --url has none. --resign replaces the signature with one
of this moment, for a request that has become stale. Redirects are not followed.
Exit code 1 unless the answer is 200.`,
		Example: "  rampctl webhook send delivery.http --url http://localhost:8080/v1/webhooks/kado/acme --resign",
	}
	cmd.Flags().StringVar(&target, "url", "", "where to; where empty, the account's own route")
	cmd.Flags().StringVar(&account, "account", "", "for --resign and the route; where empty, that of the request's path")
	cmd.Flags().BoolVar(&resign, "resign", false, "sign the body anew, as of now")
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "of the whole exchange")
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		b, err := readInput(a[0], cmd.InOrStdin())
		if err != nil {
			return err
		}
		saved, err := parseRequest(b)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errUsage, a[0], err)
		}
		if account == "" {
			account = saved.account
		}
		if resign {
			_, header, err := c.signed(account, saved.body, events.At(time.Now()))
			if err != nil {
				return err
			}
			maps.Copy(saved.header, header)
		}
		address, err := c.destination(target, account, saved)
		if err != nil {
			return err
		}
		return c.post(cmd, address, saved, timeout)
	}
	return cmd
}

// destination is --url, else the account's route; with the query of the saved request.
func (c *cli) destination(target, account string, saved request) (string, error) {
	if target == "" {
		_, _, address, err := c.route(account)
		if err != nil {
			return "", err
		}
		if target = address; target == "" {
			return "", fmt.Errorf("%w: --url is required: ingest.public_url is not set", errUsage)
		}
		if saved.pathToken != "" {
			target += "/" + saved.pathToken
		}
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%w: --url must be an http:// or https:// URL", errUsage)
	}
	if u.RawQuery == "" {
		u.RawQuery = saved.query
	}
	return u.String(), nil
}

// errAnswer: the answer was not the one that a provider waits for.
var errAnswer = errors.New("the answer is not 200")

// maxAnswer bounds what is printed of an answer.
const maxAnswer = 64 << 10

func (c *cli) post(cmd *cobra.Command, address string, saved request, timeout time.Duration) error {
	req, err := http.NewRequestWithContext(cmd.Context(), saved.method, address, bytes.NewReader(saved.body))
	if err != nil { // its text quotes the URL, which may hold a path token
		return fmt.Errorf("%w: the request's method or --url is not usable", errUsage)
	}
	for name, values := range saved.header {
		if !slices.Contains(hopByHop, name) {
			req.Header[name] = values
		}
	}
	client := &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("send: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("send: read the answer: %w", err)
	}
	if c.json() {
		err = c.line(object{{"status", resp.StatusCode}, {"body", string(body)}})
	} else {
		_, err = fmt.Fprintf(c.out, "%s\n%s\n", strconv.Itoa(resp.StatusCode)+" "+http.StatusText(resp.StatusCode), body)
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		return errAnswer
	}
	return err
}
