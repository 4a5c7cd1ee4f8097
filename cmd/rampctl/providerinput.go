package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// maxInput bounds a --body.
const maxInput = 1 << 20

// input reads a file, or standard input for "-".
func (s *session) input(name string) ([]byte, error) {
	return readInput(name, s.cmd.InOrStdin())
}

func readInput(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxInput:
		return nil, fmt.Errorf("%w: more than %d bytes of input", errUsage, maxInput)
	}
	return b, nil
}

// body reads --body into a struct, strictly. The text of the decoder's errors
// quotes what it reads, which is personal, so it is not passed on.
func (s *session) body(name string, into any) error {
	if name == "" {
		return fmt.Errorf("%w: --body is required: a file, or - for standard input", errUsage)
	}
	b, err := s.input(name)
	if err != nil {
		return err
	}
	if _, err := jsonx.Parse(b); err != nil {
		return fmt.Errorf("%w: --body: %w", errUsage, err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil {
		return fmt.Errorf("%w: --body: want an object with members among %s, of the right types", errUsage, strings.Join(membersOf(into), ", "))
	}
	return nil
}

// membersOf names the JSON members of a struct.
func membersOf(v any) []string {
	var names []string
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Type.Kind() == reflect.Struct {
			for _, inner := range membersOf(reflect.New(f.Type).Interface()) {
				names = append(names, name+"."+inner)
			}
			continue
		}
		names = append(names, name)
	}
	return names
}

// token reads a credential from a file or standard input: the command line is
// seen by every user of the machine.
func (s *session) token(flag, name string) (providers.Secret, error) {
	if name == "" {
		return "", fmt.Errorf("%w: --%s is required: a file with the token, or - for standard input", errUsage, flag)
	}
	b, err := s.input(name)
	if err != nil {
		return "", err
	}
	return providers.Secret(strings.TrimSpace(string(b))), nil
}

// amountOf reads a decimal of the command line.
func amountOf(flag, v string) (events.Amount, error) {
	if v == "" {
		return "", nil
	}
	a, err := events.ParseAmount(v)
	if err != nil {
		return "", fmt.Errorf("%w: --%s: %w", errUsage, flag, err)
	}
	return a, nil
}

// answerOf is an answer of a Checker as the output has it.
func answerOf(a providers.Answer, v events.Vocabulary) any {
	out := struct {
		Key       string            `json:"key"`
		StatusRaw string            `json:"status_raw"`
		Status    string            `json:"status"`
		Facts     map[string]string `json:"facts,omitempty"`
	}{a.Key.String(), a.StatusRaw, events.StatusUnknown.String(), factMap(a.Facts)}
	if m, ok := v.Meaning(a.Key.Kind, a.StatusRaw); ok {
		out.Status = m.Status.String()
	}
	return out
}

// check asks a Checker about one subject of the account.
func (s *session) check(kind events.SubjectKind, id string, nonce int64) (any, error) {
	key, err := s.key(kind, id)
	if err != nil {
		return nil, err
	}
	caps, err := s.open()
	if err != nil {
		return nil, err
	}
	checker := caps.Orders
	if kind == events.Customer {
		checker = caps.Customers
	}
	if checker == nil {
		return nil, fmt.Errorf("%w: %w", errUsage, errNoCall)
	}
	a, err := checker.Check(s.cmd.Context(), providers.Question{Key: key, Nonce: nonce})
	if err != nil {
		return nil, err
	}
	return answerOf(a, s.vocabulary()), nil
}

func (s *session) vocabulary() events.Vocabulary {
	for _, p := range known() {
		if p.Name == s.account.Provider {
			return p.Vocabulary(s.account)
		}
	}
	return events.Vocabulary{}
}

// done is what a call prints that returns nothing.
func done(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]bool{"ok": true}, nil
}

// errNoCall is wrapped where the account is not configured for a call.
var errNoCall = errors.New("the account's settings allow no such call")

// errNonce is wrapped where a nonce of the command line makes no sense.
var errNonce = errors.New("--nonce must be above 0")
