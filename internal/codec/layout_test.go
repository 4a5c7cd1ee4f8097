package codec_test

import (
	"strings"
	"testing"

	"github.com/twmb/avro"

	"rampstream/internal/codec"
	"rampstream/schemas"
)

// Runs of columns that several records have.
const (
	subjectCols  = `key:string provider:string account:string subject:string subject_id:string `
	moneyCols    = `fiat_amount:string? fiat_currency:string? crypto_amount:string? crypto_asset:string? crypto_network:string? `
	customerCols = `kyc_level:string? docs_uploaded:boolean? verification_status:string? wallet_status:string? wallet_id:string? `
	walletCols   = `wallet_accounts:[id:string network:string? coin:string? symbol:string? address:string?] `
	saidCols     = moneyCols + `side:string? tx_hash:string? customer_id:string? external_id:string? status_in_data:string? ` +
		`funds_taken:boolean? provider_created_at:time? ` + customerCols + walletCols
	orderCols = moneyCols + `crypto_receive_min_amount:string? side:string? tx_hash:string? customer_id:string? merchant_ref:string? ` +
		`customer_ref:string? external_id:string? status_in_data:string? funds_taken:boolean? provider_created_at:time? `
	stateCols = subjectCols + `status:string status_raw:string? decided_by:string decided_source:string? terminal:boolean since_at:time? ` +
		`first_seen_at:time last_seen_at:time stale_since_at:time? open_discrepancies:[string] rules_version:string `
	evidenceCols = `evidence:[kind:string word:string listed:boolean? digest:string? first_at:time first_event_id:string first_coordinates:string ` +
		`last_at:time? last_event_id:string? last_coordinates:string? revision:long? operator:string? reason:string? ` +
		orderCols + customerCols + `wallet_accounts_json:string?]`
)

// layouts are what the append and read functions of each record were written
// for, column by column.
var layouts = map[string]string{
	"Webhook": subjectCols + `event_id:string observed_at:time trust:string hint_reason:string? event_type:string? status:string ` +
		`status_raw:string? delivery_id:string? body_digest:string scheme:string? ` + saidCols,
	"Intent": subjectCols + `event_id:string observed_at:time kind:string revision:long? decision:string? operator:string? reason:string? ` +
		`source:string? ` + moneyCols + `crypto_receive_min_amount:string? side:string? customer_id:string? merchant_ref:string? ` +
		`customer_ref:string? external_id:string?`,
	"StatusCheck": subjectCols + `event_id:string observed_at:time answered_at:time? cause:string outcome:string status:string ` +
		`status_raw:string? http_status:int? attempt:int retry_after_at:time? ` + saidCols,
	"OrderState": stateCols + orderCols + `wallet_id:string? expected_fiat_amount:string? expected_fiat_currency:string? ` +
		`expected_crypto_amount:string? expected_crypto_asset:string? expected_crypto_network:string? ` +
		`expected_crypto_receive_min_amount:string? expected_side:string? expected_customer_id:string? expected_merchant_ref:string? ` +
		`expected_customer_ref:string? expected_external_id:string? ` + evidenceCols,
	"CustomerState": stateCols + `customer_id:string? customer_ref:string? external_id:string? status_in_data:string? ` +
		`provider_created_at:time? ` + customerCols + walletCols + `expected_customer_id:string? expected_customer_ref:string? ` +
		`expected_external_id:string? ` + evidenceCols,
	"Transition": subjectCols + `transition_id:string from_status:string from_status_raw:string? to_status:string to_status_raw:string? ` +
		`decided_by:string reason:string terminal:boolean digest_before:string? digest_after:string cause_coordinates:string? ` +
		`cause_event_id:string? true_at:time learned_at:time retroactive:boolean`,
	"Discrepancy": subjectCols + `type:string severity:string opened_at:time resolved_at:time? expected:string? seen:string? ` +
		`at_stake_amount:string? at_stake_currency:string? evidence:[string]`,
	"CheckTask": subjectCols + `due_at:time cause:string hint_at:time? known:boolean announced_status:string since_at:time? ` +
		`give_up:boolean expected_amount:string? expected_currency:string?`,
	"LaneState": `lane:string provider:string account:string nonce_reserved:long retry_after_at:time? calls_per_second:string? ` +
		`updated_at:time`,
	"ReconcilerPosition": `partition:int inputs:[topic:string next_offset:long] state_count:long digest:string rules_version:string ` +
		`rules_generation:long? rules_code:long? rules_superseded:[string]`,
}

// columns of a record as layouts spells them.
func columnsOf(n *avro.SchemaNode) string {
	var out []string
	for i := range n.Fields {
		out = append(out, n.Fields[i].Name+":"+typeOf(&n.Fields[i].Type))
	}
	return strings.Join(out, " ")
}

func typeOf(n *avro.SchemaNode) string {
	switch {
	case n.Type == "union" && len(n.Branches) == 2 && n.Branches[0].Type == "null":
		return typeOf(&n.Branches[1]) + "?"
	case n.Type == "array" && n.Items.Type == "record":
		return "[" + columnsOf(n.Items) + "]"
	case n.Type == "array":
		return "[" + typeOf(n.Items) + "]"
	case n.Type == "long" && n.LogicalType == "timestamp-millis":
		return "time"
	case n.LogicalType != "":
		return n.Type + "." + n.LogicalType
	}
	return n.Type
}

func rootOf(t testing.TB, name string) *avro.SchemaNode {
	t.Helper()
	s, err := avro.Parse(schemas.Text(name))
	if err != nil {
		t.Fatal(err)
	}
	return s.Root().ExpandReferences()
}

// A schema that changes needs its append and read functions changed first:
// they write and read by position.
func TestSchemas_areWhatTheFunctionsWereWrittenFor(t *testing.T) {
	for _, name := range schemas.Names() {
		got, want := columnsOf(rootOf(t, name)), strings.TrimSpace(layouts[name])
		if got != want {
			t.Errorf("%s.avsc has changed: change append%[1]s and read%[1]s of internal/codec, then this test's layout\n got %s\nwant %s", name, got, want)
		}
	}
}

// What a registry gives back as the schema of an id may be formatted and
// described otherwise; what differs in any other way is resolved.
func TestReader_takesOnlyOurLayout(t *testing.T) {
	text := schemas.Text("LaneState")
	const nonce, updated = `{"name": "nonce_reserved", "type": "long",`, `{"name": "updated_at",`
	if !strings.Contains(text, nonce) || !strings.Contains(text, updated) {
		t.Fatalf("LaneState.avsc has no %s or no %s", nonce, updated)
	}
	for _, tc := range []struct {
		name, text string
		fast       bool
	}{
		{"as it is", text, true},
		{"on one line", strings.Join(strings.Fields(text), " "), true},
		{"with an alias", strings.Replace(text, nonce, nonce+` "aliases": ["nonce"],`, 1), true},
		{"with a logical type", strings.Replace(text, nonce, `{"name": "nonce_reserved", "type": {"type": "long", "logicalType": "timestamp-millis"},`, 1), false},
		{"with an int", strings.Replace(text, nonce, `{"name": "nonce_reserved", "type": "int",`, 1), false},
		{"without a logical type", strings.Replace(text, `["null", {"type": "long", "logicalType": "timestamp-millis"}]`, `["null", "long"]`, 1), false},
		{"with two fields in the other order", strings.NewReplacer(`"name": "provider"`, `"name": "account"`, `"name": "account"`, `"name": "provider"`).Replace(text), false},
		{"with another field", strings.Replace(text, updated, `{"name": "extra", "type": "long", "doc": "x"}, `+updated, 1), false},
	} {
		if (tc.text == text) != (tc.name == "as it is") {
			t.Fatalf("%s: the schema is not changed", tc.name)
		}
		c := reader(t, &registry{texts: map[int]string{42: tc.text}})
		_, _ = c.DecodeLaneState(t.Context(), lane(t, 42)) // looks the id up
		if got := codec.Fast(c, 42); got != tc.fast {
			t.Errorf("%s: read by our reader = %v, want %v", tc.name, got, tc.fast)
		}
	}
}
