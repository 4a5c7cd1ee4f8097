package kuna

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/jsonx"
)

// operations checks and sweeps operations.
type operations struct{ c *Client }

// Check asks operation/details. Its data is an array; the one asked for must
// be in it. An empty one is OutcomeNotFound, only others is OutcomeMismatch.
func (o operations) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "kuna operation details"
	if !q.Key.Valid() || q.Key.Provider != Name || q.Key.Account != o.c.account || q.Key.Kind != events.Order {
		return providers.Answer{}, rejected(op, "key of another account or kind")
	}
	status, body, err := o.c.read(ctx, op, o.c.routes["operation_details"], map[string]string{o.c.fields.name("id"): q.Key.ID})
	if err != nil {
		return providers.Answer{}, err
	}
	d, err := data(body, jsonx.Array)
	if err != nil {
		return providers.Answer{}, malformed(op, status, err)
	}
	found, err := pick(o.c.fields, d.Items(), q.Key.ID)
	if err != nil {
		return providers.Answer{}, malformed(op, status, err)
	}
	if found.Kind() == jsonx.Absent {
		outcome := events.OutcomeMismatch
		if len(d.Items()) == 0 {
			outcome = events.OutcomeNotFound
		}
		return providers.Answer{}, &providers.CallError{Outcome: outcome, HTTPStatus: status, Op: op}
	}
	got, err := readOperation(o.c.fields, found)
	if err != nil {
		return providers.Answer{}, malformed(op, status, err)
	}
	return providers.Answer{Key: q.Key, StatusRaw: got.status, Facts: got.facts}, nil
}

// pick finds the one element with an id; absent when there is none. Two are an
// answer with two meanings.
func pick(f fields, items []jsonx.Value, id string) (jsonx.Value, error) {
	var found jsonx.Value
	for _, v := range items {
		got, ok := f.get(v, "id").Text()
		switch {
		case !ok:
			return jsonx.Value{}, errID
		case got != id:
		case found.Kind() != jsonx.Absent:
			return jsonx.Value{}, errAmbiguous
		default:
			found = v
		}
	}
	return found, nil
}

// Filter narrows Find; the zero Filter asks for everything.
type Filter struct {
	Type        string
	Status      string
	WalletID    string
	ExternalID  string
	TargetAsset string
	SourceAsset string
	DateFrom    string // ISO 8601, of createdAt
	DateTo      string
}

// members are the filters that are set, by their names in the request.
func (f Filter) members(names fields) map[string]string {
	out := map[string]string{}
	for name, value := range map[string]string{
		"type": f.Type, "status": f.Status, "walletId": f.WalletID, "externalId": f.ExternalID, "targetAsset": f.TargetAsset,
		"sourceAsset": f.SourceAsset, "dateFrom": f.DateFrom, "dateTo": f.DateTo,
	} {
		if value != "" {
			out[names.name(name)] = value
		}
	}
	return out
}

// Find asks operation/find for one page. total is how many entries the page
// had; those that cannot be read are counted in Page.Unreadable. Page.Next is
// left to the caller.
func (c *Client) Find(ctx context.Context, f Filter, skip, take int) (page providers.Page, total int, err error) {
	const op = "kuna operation find"
	query := url.Values{c.fields.name("skip"): {strconv.Itoa(skip)}, c.fields.name("take"): {strconv.Itoa(take)}}
	route := c.routes["operation_find"]
	route.Path += "?" + query.Encode()
	status, body, err := c.read(ctx, op, route, f.members(c.fields))
	if err != nil {
		return providers.Page{}, 0, err
	}
	d, err := data(body, jsonx.Array)
	if err != nil {
		return providers.Page{}, 0, malformed(op, status, err)
	}
	for _, v := range d.Items() {
		got, err := readOperation(c.fields, v)
		if err != nil {
			page.Unreadable++
			continue
		}
		key := events.Key{Provider: Name, Account: c.account, Kind: events.Order, ID: got.id}
		page.Answers = append(page.Answers, providers.Answer{Key: key, StatusRaw: got.status, Facts: got.facts})
	}
	return page, len(d.Items()), nil
}

// sweepBack is how far a sweep looks: operations created within it are
// discovered however late, older ones by Find alone.
const sweepBack = 48 * time.Hour

// Sweep lists the operations of the last 48 hours, page by page. The cursor
// carries the start of the window, so that all pages are of one list; the
// order of the list is not documented, and what moves across a page's edge is
// found by the next sweep.
func (o operations) Sweep(ctx context.Context, cursor string) (providers.Page, error) {
	from, skip, ok := o.position(cursor)
	if !ok {
		return providers.Page{}, rejected("kuna operation find", "cursor")
	}
	take := o.c.api.PageSize
	if take == 0 {
		take = defaultPage
	}
	filter := Filter{DateFrom: from.Time().Format("2006-01-02T15:04:05.000Z")}
	page, total, err := o.c.Find(ctx, filter, skip, take)
	if err != nil {
		return providers.Page{}, err
	}
	if total >= take {
		page.Next = strconv.FormatInt(int64(from), 10) + ":" + strconv.Itoa(skip+total)
	}
	return page, nil
}

// maxSkip ends a sweep whose provider ignores skip and repeats its first page.
const maxSkip = 1_000_000

func (o operations) position(cursor string) (from events.Millis, skip int, ok bool) {
	if cursor == "" {
		return events.At(o.c.now().Add(-sweepBack)), 0, true
	}
	left, right, found := strings.Cut(cursor, ":")
	ms, errFrom := strconv.ParseInt(left, 10, 64)
	skip, errSkip := strconv.Atoi(right)
	if !found || errFrom != nil || errSkip != nil || ms <= 0 || skip <= 0 || skip > maxSkip {
		return 0, 0, false
	}
	return events.Millis(ms), skip, true
}

// Ack does nothing: KunaCore keeps no note of what was read.
func (o operations) Ack(context.Context, providers.Answer) error { return nil }

// read makes a call that changes nothing, and so may be repeated when the
// provider could not be reached.
func (c *Client) read(ctx context.Context, op string, route providers.Route, request any) (status int, body []byte, err error) {
	err = httpx.Retry(ctx, func(ctx context.Context) error {
		status, body, err = c.callWith(ctx, op, route, request)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	if len(body) == 0 || status == http.StatusNoContent {
		return 0, nil, malformed(op, status, errData)
	}
	return status, body, nil
}
