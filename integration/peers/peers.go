// Package peers runs the other side in another language: servers of the five
// providers and senders of their deliveries, written in JavaScript from the
// providers' documents and sharing no line with the Go code. Where client and
// server agree here, two independent readings of a document agree.
//
// Each provider speaks one of two dialects: Document makes the choices that
// anybody would guess where a document leaves something open, Other makes
// different ones, so that configuration alone must bridge them.
package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"rampstream/internal/events"
)

// The dialects.
const (
	Document = "document"
	Other    = "other"
)

// ErrNoNode is returned where node is not installed.
var ErrNoNode = errors.New("peers: node is not installed")

// Credentials are those that the peers accept and sign with. Their JSON names
// are what peers.mjs reads.
type Credentials struct {
	Kado struct {
		PublicKey  string `json:"publicKey"`
		PrivateKey string `json:"privateKey"`
		WidgetID   string `json:"widgetId"`
		WebhookURL string `json:"webhookUrl"` // until one is registered
	} `json:"kado"`
	Kanga struct {
		AppID  string `json:"appId"`
		Secret string `json:"secret"`
	} `json:"kanga"`
	Koinal struct {
		MerchantCode   int    `json:"merchantCode"`
		Secret         string `json:"secret"`
		CallbackSecret string `json:"callbackSecret"`
	} `json:"koinal"`
	Zumo struct {
		AppID         string `json:"appId"`
		AppSecret     string `json:"appSecret"`
		WebhookSecret string `json:"webhookSecret"`
	} `json:"zumo"`
	Kuna struct {
		MerchantID string `json:"merchantId"`
		Login      string `json:"login"`
		Password   string `json:"password"`
		APIKey     string `json:"apiKey"`
	} `json:"kuna"`
}

func newCredentials() (c Credentials) {
	for _, s := range []*string{
		&c.Kado.PublicKey, &c.Kado.PrivateKey, &c.Kado.WidgetID, &c.Kanga.AppID, &c.Kanga.Secret, &c.Koinal.Secret, &c.Koinal.CallbackSecret,
		&c.Zumo.AppID, &c.Zumo.AppSecret, &c.Zumo.WebhookSecret, &c.Kuna.MerchantID, &c.Kuna.Password, &c.Kuna.APIKey,
	} {
		var b [20]byte
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		*s = hex.EncodeToString(b[:])
	}
	c.Koinal.MerchantCode, c.Kuna.Login = 4711, "shop@example.com"
	c.Kado.WebhookURL = "https://hooks.example.com/v1/webhooks/kado/" + string(Account)
	return c
}

// Peers are running servers. Close them.
type Peers struct {
	Dialect     string
	Credentials Credentials
	// Crypto is what Kado's signatures are made with: crypto-js, where the
	// environment variable CRYPTO_JS names the folder that it is installed in,
	// else node's own.
	Crypto string

	urls    map[string]string
	cmd     *exec.Cmd
	stdin   io.Closer
	client  *http.Client
	control string
}

// Start runs the peers of one dialect. They also end with ctx.
func Start(ctx context.Context, dialect string) (*Peers, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, ErrNoNode
	}
	_, file, _, _ := runtime.Caller(0)
	p := &Peers{Dialect: dialect, Credentials: newCredentials(), client: &http.Client{Timeout: time.Minute}}
	p.cmd = exec.CommandContext(ctx, node, filepath.Join(filepath.Dir(file), "peers.mjs"))
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	p.stdin = in
	if err := p.greet(in, out); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Peers) greet(in io.Writer, out io.Reader) error {
	options := struct {
		Dialect string `json:"dialect"`
		Credentials
	}{p.Dialect, p.Credentials}
	if err := json.NewEncoder(in).Encode(options); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("peers: no answer: %w", err)
	}
	if err := json.Unmarshal(line, &p.urls); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	p.control, p.Crypto = p.urls["control"], p.urls["crypto"]
	return nil
}

// Close ends the servers.
func (p *Peers) Close() {
	_ = p.stdin.Close() // which is how they are told
	_ = p.cmd.Wait()
	p.client.CloseIdleConnections()
}

// URL is where a provider's server listens.
func (p *Peers) URL(name events.Provider) string { return p.urls[string(name)] }

// Fields are the members of a subject or of a command, as JSON.
type Fields map[string]any

// Set makes or changes a subject of a provider: "id", "kind" (customer, else an
// order), and the provider's own members.
func (p *Peers) Set(name events.Provider, f Fields) error {
	return p.do("/set", with(f, name), nil)
}

// Forget ends the tokens that a provider has issued.
func (p *Peers) Forget(name events.Provider) error { return p.do("/forget", with(nil, name), nil) }

// Delivery is a signed request as a provider sends it, and how it was answered
// where it was sent. Path is the signed one (Kado), or "?" and the query.
type Delivery struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Status  int               `json:"status"`
}

// Sign makes a delivery about a subject and does not send it.
func (p *Peers) Sign(name events.Provider, f Fields) (d Delivery, err error) {
	return d, p.do("/sign", with(f, name), &d)
}

// Send sends a delivery about a subject to url.
func (p *Peers) Send(name events.Provider, url string, f Fields) (d Delivery, err error) {
	f = with(f, name)
	f["url"] = url
	return d, p.do("/send", f, &d)
}

// Report is what the peers have seen.
type Report struct {
	Calls  map[events.Provider]map[string]int `json:"calls"`
	Faults []string                           `json:"faults"` // requests that a document forbids
}

// Report asks what was seen so far.
func (p *Peers) Report() (r Report, err error) { return r, p.do("/report", nil, &r) }

func with(f Fields, name events.Provider) Fields {
	out := Fields{"provider": name}
	for k, v := range f {
		out[k] = v
	}
	return out
}

func (p *Peers) do(path string, f Fields, into any) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	resp, err := p.client.Post(p.control+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("peers: %s: %d %.200s, %v", path, resp.StatusCode, answer, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
