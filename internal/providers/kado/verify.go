package kado

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"

	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// content is a body in all its readings.
type content struct {
	raw       []byte
	doc       jsonx.Value // of raw
	flags     jsonx.Flags
	err       error  // of the scan: then only raw is set
	canonical []byte // nil beside err
	lossy     bool   // a number of raw has another value in canonical
}

// match is which candidate verified.
type match struct {
	canonical bool // the MD5 was that of the canonical form
	scheme    string
}

// headers are the three of the scheme, decoded.
type headers struct {
	timestamp, publicKey string
	millis               int64
	signature            []byte
}

// authenticate tries every key with every path and every payloadHex, whatever
// matched before, and looks at the public key last: neither the answer nor its
// time says how close a forgery came.
func (p *parser) authenticate(d providers.Delivery, c content) (headers, match, error) {
	h, err := readHeaders(d)
	if err != nil {
		return headers{}, match{}, err
	}
	m, matched := p.tryAll(h, c)
	ours := subtle.ConstantTimeCompare([]byte(h.publicKey), []byte(p.publicKey)) == 1
	switch {
	case matched && ours:
		return h, m, nil
	case c.err != nil && p.canonical:
		return headers{}, match{}, providers.Refuse(providers.ErrBadRequest, providers.JSONReason(c.err), c.err.Error())
	case !ours:
		return headers{}, match{}, providers.Refuse(providers.ErrUnauthentic, "public_key", "not the account's")
	}
	return headers{}, match{}, providers.Refuse(providers.ErrUnauthentic, "signature", "no key, path and payload reading fits")
}

func (p *parser) tryAll(h headers, c content) (match, bool) {
	var (
		found match
		any   bool
	)
	for _, r := range p.readings(c) {
		payloadHex := PayloadHex(r.body)
		for _, path := range p.paths {
			for _, key := range p.keys {
				want := signature(providers.Secret(key.value), "POST", h.timestamp, path.value, payloadHex)
				if hmac.Equal(h.signature, want) && !any {
					any, found = true, match{canonical: r.canonical, scheme: r.name + "/" + key.name + path.name}
				}
			}
		}
	}
	return found, any
}

type reading struct {
	name      string
	body      []byte
	canonical bool
}

func (p *parser) readings(c content) []reading {
	var out []reading
	if p.canonical && c.canonical != nil {
		out = append(out, reading{"canonical", c.canonical, true})
	}
	if p.raw {
		out = append(out, reading{"raw", c.raw, false})
	}
	return out
}

// believed is the document whose every byte the signature covers.
func (c content) believed(m match, strict bool) (jsonx.Value, error) {
	switch {
	case c.err != nil: // signed as it came, but not readable
		return jsonx.Value{}, malformed(providers.JSONReason(c.err), c.err.Error())
	case !m.canonical && c.flags.Duplicates:
		return jsonx.Value{}, malformed("json_ambiguous", "duplicate key")
	case !m.canonical:
		return c.doc, nil
	case strict && c.flags.Duplicates:
		return jsonx.Value{}, malformed("json_ambiguous", "duplicate key")
	case c.lossy:
		// Endless literals share this canonical form; which was meant is not signed.
		return jsonx.Value{}, malformed("number_lossy", "a number has digits that the signature does not cover")
	}
	doc, err := jsonx.Parse(c.canonical)
	if err != nil { // the canonical form of a document is a document
		return jsonx.Value{}, malformed(providers.JSONReason(err), err.Error())
	}
	return doc, nil
}

func readHeaders(d providers.Delivery) (headers, error) {
	var values [3]string
	for i, name := range [...]string{"X-Timestamp", "X-Public-Key", "X-Signature"} {
		switch v := d.Header[name]; len(v) {
		case 0:
			return headers{}, providers.Refuse(providers.ErrUnauthentic, "header_missing", name)
		case 1:
			values[i] = v[0]
		default:
			return headers{}, providers.Refuse(providers.ErrUnauthentic, "header_duplicate", name)
		}
	}
	h := headers{timestamp: values[0], publicKey: values[1]}
	millis, ok := decimalMillis(h.timestamp)
	if !ok {
		return headers{}, providers.Refuse(providers.ErrUnauthentic, "timestamp", "not decimal milliseconds")
	}
	raw, err := hex.DecodeString(values[2])
	if err != nil || len(raw) != sha256.Size {
		return headers{}, providers.Refuse(providers.ErrUnauthentic, "signature_format", "not 64 hexadecimal digits")
	}
	h.millis, h.signature = millis, raw
	return h, nil
}

// decimalMillis reads digits without sign, blank or leading zero: the string
// is part of what was signed, so it has one spelling.
func decimalMillis(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 15 || s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
