package httpx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// MaxBody is the most that any answer may have, in bytes; a status answer has
// a few kilobytes.
const MaxBody = 1 << 20

// Do makes one request and reads its answer, at most maxBody bytes (0, or more
// than MaxBody, is MaxBody). op names the call in errors. Any status is a
// success here: see StatusError. Where the caller has a budget (providers.Spend)
// the request waits for its place in it, or is not made. The error is always a *providers.CallError;
// when ctx itself ended, errors.Is finds its error too, and the failure is the
// caller's doing, not the provider's.
func Do(ctx context.Context, client *http.Client, op string, req *http.Request, maxBody int64) (status int, header http.Header, body []byte, err error) {
	if client == nil {
		return 0, nil, nil, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("no HTTP client")}
	}
	if err := providers.Spend(ctx); err != nil {
		return 0, nil, nil, &providers.CallError{Outcome: events.OutcomeRateLimited, Op: op, Err: providers.ErrBudget}
	}
	if maxBody <= 0 || maxBody > MaxBody {
		maxBody = MaxBody
	}
	var p progress
	resp, err := bounded(ctx, client).Do(req.WithContext(httptrace.WithClientTrace(ctx, p.trace())))
	if err != nil {
		return 0, nil, nil, p.callError(op, err)
	}
	defer resp.Body.Close()
	// One byte more than allowed tells a full answer from a cut one.
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		e := p.callError(op, err)
		e.HTTPStatus = resp.StatusCode
		return 0, nil, nil, e
	}
	if int64(len(body)) > maxBody {
		return 0, nil, nil, &providers.CallError{Outcome: events.OutcomeOversized, HTTPStatus: resp.StatusCode, Op: op}
	}
	return resp.StatusCode, resp.Header, body, nil
}

// bounded is the client without its own timeout where ctx ends no later: the
// client would keep a second deadline for every call, at a tenth of its cost.
func bounded(ctx context.Context, client *http.Client) *http.Client {
	end, ok := ctx.Deadline()
	if !ok || client.Timeout <= 0 || time.Until(end) > client.Timeout {
		return client
	}
	c := *client
	c.Timeout = 0
	return &c
}

// progress notes how far a call came. crypto/tls and net/http report some
// failures as bare texts; where they happened is a safer sign than the text.
type progress struct {
	tlsFailed atomic.Bool
	answered  atomic.Bool
}

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err != nil {
				p.tlsFailed.Store(true)
			}
		},
		GotFirstResponseByte: func() { p.answered.Store(true) },
	}
}

func (p *progress) callError(op string, err error) *providers.CallError {
	outcome, cause := p.classify(err)
	return &providers.CallError{Outcome: outcome, Op: op, Err: cause}
}

// The causes that an error may show: a closed set, because the text of a
// *url.Error, *net.DNSError or *net.OpError has the URL, name or address in it.
var (
	errTimeout = errors.New("deadline exceeded")
	errLookup  = errors.New("name not resolved")
	errCut     = errors.New("connection ended early")
	errTLS     = errors.New("handshake refused")
	errCert    = errors.New("certificate refused")
	errParse   = errors.New("not an HTTP answer")
	errNetwork = errors.New("network failure")
)

// classify maps an error of net/http by type. The order matters: a timeout
// during the handshake is a timeout, and a refused address is also a dial error.
func (p *progress) classify(err error) (events.Outcome, error) {
	var (
		netErr net.Error
		dns    *net.DNSError
		errno  syscall.Errno
	)
	switch {
	case errors.Is(err, context.Canceled):
		return events.OutcomeTimeout, context.Canceled
	case errors.Is(err, errURL):
		return events.OutcomeRejected, errURL
	case errors.Is(err, ErrAddress):
		return events.OutcomeUnreachable, ErrAddress
	case errors.Is(err, context.DeadlineExceeded):
		return events.OutcomeTimeout, context.DeadlineExceeded
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return events.OutcomeTimeout, errTimeout
	case isCertificate(err):
		return events.OutcomeTLS, errCert
	case isTLS(err), p.tlsFailed.Load():
		return events.OutcomeTLS, errTLS
	case errors.As(err, &dns):
		return events.OutcomeUnreachable, errLookup
	case errors.As(err, &errno):
		return events.OutcomeUnreachable, errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return events.OutcomeUnreachable, errCut
	case p.answered.Load():
		return events.OutcomeMalformed, errParse
	}
	return events.OutcomeUnreachable, errNetwork
}

func isCertificate(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// isTLS finds alerts: crypto/tls hides their type inside a *net.OpError whose
// Op says which side gave up.
func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
		op     *net.OpError
	)
	if errors.As(err, &record) || errors.As(err, &alert) {
		return true
	}
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}
