package main

import (
	"rampstream/internal/events"
)

// factRows lists the stated facts by the names they have in the records.
func factRows(prefix string, f events.Facts) [][2]string {
	var out [][2]string
	for _, r := range [][2]string{
		{"fiat_amount", string(f.FiatAmount)}, {"fiat_currency", f.FiatCurrency},
		{"crypto_amount", string(f.CryptoAmount)}, {"crypto_asset", f.CryptoAsset}, {"crypto_network", f.CryptoNetwork},
		{"crypto_receive_min", string(f.CryptoReceiveMin)}, {"side", f.Side}, {"tx_hash", f.TxHash},
		{"customer_id", f.CustomerID}, {"merchant_ref", f.MerchantRef}, {"customer_ref", f.CustomerRef}, {"external_id", f.ExternalID},
		{"status_in_data", f.StatusInData}, {"funds_taken", f.FundsTaken}, {"provider_created_at", clock(f.ProviderCreatedAt)},
		{"kyc_level", f.KYCLevel}, {"docs_uploaded", f.DocsUploaded}, {"verification_status", f.VerificationStatus},
		{"wallet_status", f.WalletStatus}, {"wallet_id", f.WalletID}, {"wallet_accounts", f.WalletAccounts},
	} {
		if r[1] != "" {
			out = append(out, [2]string{prefix + r[0], r[1]})
		}
	}
	return out
}

func factMap(f events.Facts) map[string]string {
	rows := factRows("", f)
	if len(rows) == 0 {
		return nil
	}
	m := make(map[string]string, len(rows))
	for _, r := range rows {
		m[r[0]] = r[1]
	}
	return m
}

// stateLine is a state as rampctl prints it with -o json.
type stateLine struct {
	Key           string            `json:"key"`
	Status        string            `json:"status"`
	StatusRaw     string            `json:"status_raw,omitempty"`
	DecidedBy     string            `json:"decided_by"`
	DecidedSource string            `json:"decided_source,omitempty"`
	Terminal      bool              `json:"terminal"`
	Since         string            `json:"since_at,omitempty"`
	FirstSeen     string            `json:"first_seen_at,omitempty"`
	LastSeen      string            `json:"last_seen_at,omitempty"`
	StaleSince    string            `json:"stale_since_at,omitempty"`
	Open          []string          `json:"open_discrepancies,omitempty"`
	Facts         map[string]string `json:"facts,omitempty"`
	Expected      map[string]string `json:"expected,omitempty"`
	RulesVersion  string            `json:"rules_version"`
	Explanation   string            `json:"explanation,omitempty"`
	Evidence      []evidenceLine    `json:"evidence,omitempty"`
	Disagreed     []discrepancyLine `json:"disagreed,omitempty"`
	WouldChange   []string          `json:"would_change,omitempty"`
	Note          string            `json:"note,omitempty"`
}

type evidenceLine struct {
	Source   string            `json:"source"`
	Word     string            `json:"word,omitempty"`
	Means    string            `json:"means,omitempty"`
	Decides  bool              `json:"decides,omitempty"`
	Against  bool              `json:"disagrees,omitempty"`
	FirstAt  string            `json:"first_at"`
	First    string            `json:"first_coordinates"`
	FirstID  string            `json:"first_event_id"`
	LastAt   string            `json:"last_at,omitempty"`
	Last     string            `json:"last_coordinates,omitempty"`
	LastID   string            `json:"last_event_id,omitempty"`
	Revision int64             `json:"revision,omitempty"`
	Operator string            `json:"operator,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Facts    map[string]string `json:"facts,omitempty"`
}

func stateJSON(st events.State) stateLine {
	return stateLine{
		Key: st.Key.String(), Status: st.Status.String(), StatusRaw: st.StatusRaw, DecidedBy: st.DecidedBy,
		DecidedSource: st.DecidedSource, Terminal: st.Terminal, Since: clock(st.Since), FirstSeen: clock(st.FirstSeenAt),
		LastSeen: clock(st.LastSeenAt), StaleSince: clock(st.StaleSince), Open: st.Open,
		Facts: factMap(st.Facts), Expected: factMap(st.Expected), RulesVersion: st.RulesVersion,
	}
}
