package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// request is a saved request.
type request struct {
	method, target, path string
	header               map[string][]string
	body                 []byte
	account              string // of the path, "" where it is no route of ingest
	pathToken            string
	query                string
	notes                []string // what had to be assumed
}

func (r request) delivery(at events.Millis) providers.Delivery {
	return providers.Delivery{
		Method: r.method, RawQuery: r.query, PathToken: r.pathToken, Header: r.header, Body: r.body, ReceivedAt: at,
	}
}

var errNoRequest = errors.New("want a request line (POST /path HTTP/1.1), headers, an empty line, and the body")

// parseRequest reads HTTP text. Its body is what follows the empty line, byte
// for byte: the signature covers it as it came. Only where Content-Length says
// that a newline at the end is an editor's is it taken away.
func parseRequest(b []byte) (request, error) {
	head, body, found := cutHead(b)
	if !found {
		return request{}, errNoRequest
	}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(slices.Clone(head), "\r\n\r\n"...))))
	line, err := r.ReadLine()
	fields := strings.Fields(line)
	if err != nil || len(fields) < 2 || len(fields) > 3 {
		return request{}, errNoRequest
	}
	header, err := r.ReadMIMEHeader()
	if err != nil { // its text quotes a header
		return request{}, fmt.Errorf("a header is no header: %w", errNoRequest)
	}
	out := request{method: fields[0], target: fields[1], header: header, body: body}
	u, err := url.ParseRequestURI(out.target)
	if err != nil {
		return request{}, fmt.Errorf("the request's target is no path: %w", errNoRequest)
	}
	out.path, out.query = u.EscapedPath(), u.RawQuery
	out.account, out.pathToken = routeOf(out.path)
	out.measure()
	return out, nil
}

// cutHead finds the empty line, in either spelling of line ends.
func cutHead(b []byte) (head, body []byte, found bool) {
	crlf, lf := bytes.Index(b, []byte("\r\n\r\n")), bytes.Index(b, []byte("\n\n"))
	switch {
	case crlf >= 0 && (lf < 0 || crlf < lf):
		return b[:crlf], b[crlf+4:], true
	case lf >= 0:
		return b[:lf], b[lf+2:], true
	}
	return b, nil, false
}

// measure compares the body with its headers and notes what does not fit.
func (r *request) measure() {
	if n, err := strconv.Atoi(strings.Join(r.header["Content-Length"], "")); err == nil {
		trimmed := bytes.TrimSuffix(bytes.TrimSuffix(r.body, []byte("\n")), []byte("\r"))
		switch {
		case n == len(r.body):
		case n == len(trimmed):
			r.body = trimmed
			r.notes = append(r.notes, "the newline at the end of the file is left out: Content-Length says that it was added")
		default:
			r.notes = append(r.notes, fmt.Sprintf("Content-Length is %d and the body has %d bytes: it was not saved as it came", n, len(r.body)))
		}
	} else if bytes.HasSuffix(r.body, []byte("\n")) {
		r.notes = append(r.notes, "the body ends in a newline, which may be an editor's: there is no Content-Length to tell")
	}
	if len(r.header["Transfer-Encoding"]) > 0 {
		r.notes = append(r.notes, "Transfer-Encoding is ignored: the body is taken as it stands in the file")
	}
}

// routeOf reads /v1/webhooks/{provider}/{account}[/{token}].
func routeOf(path string) (account, token string) {
	rest, found := strings.CutPrefix(path, "/v1/webhooks/")
	parts := strings.Split(rest, "/")
	if !found || len(parts) < 2 || len(parts) > 3 {
		return "", ""
	}
	if len(parts) == 3 {
		token = parts[2]
	}
	return parts[0] + "/" + parts[1], token
}
