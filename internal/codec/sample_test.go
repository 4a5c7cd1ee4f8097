package codec_test

import "rampstream/internal/events"

// samples are one value of each record with every field set, each to something
// else, and one with as little as the contract allows.
func samples() map[string]any {
	return map[string]any{
		"Webhook-full": fullWebhook(), "Webhook-minimal": events.Webhook{Key: minimalKey, EventID: "e", ObservedAt: 1},
		"Intent-full":    fullIntent(),
		"Intent-minimal": events.Intent{Key: minimalKey, EventID: "e", ObservedAt: 1},
		"Intent-decide": events.Intent{Key: orderKey, Kind: events.Decide, EventID: "c0ffee", ObservedAt: 1760000000000,
			Status: events.StatusRefunded, Operator: "op-7", Reason: "bank statement seen", Source: "rampctl"},
		"Intent-forget":       events.Intent{Key: customerKey, Kind: events.Forget, EventID: "c0ffee", ObservedAt: 1760000000000, Operator: "op-7", Reason: "erasure"},
		"StatusCheck-full":    fullStatusCheck(),
		"StatusCheck-minimal": events.StatusCheck{Key: minimalKey, EventID: "e", ObservedAt: 1, Outcome: events.OutcomeGaveUp},
		"OrderState-full":     fullOrderState(), "OrderState-minimal": events.State{Key: minimalKey},
		"CustomerState-full":    fullCustomerState(),
		"CustomerState-minimal": events.State{Key: events.Key{Provider: "p", Account: "a", Kind: events.Customer, ID: "c"}},
		"Transition-full": events.Transition{
			ID: "00112233445566778899aabbccddeeff", Key: orderKey, From: events.StatusProcessing, To: events.StatusCompleted,
			FromRaw: "processing", ToRaw: "settled", Rule: "terminal", Reason: "evidence", Terminal: true,
			DigestBefore: "0123456789abcdef0123456789abcdef", DigestAfter: "fedcba9876543210fedcba9876543210",
			Cause: "ramp.webhook.v1-3-42", CauseEventID: "c0ffee", TrueAt: 1760000000000, LearnedAt: 1760000000123, Retroactive: true,
		},
		"Transition-minimal": events.Transition{Key: minimalKey, Reason: "rule_change"},
		"Discrepancy-full": events.Discrepancy{
			Key: orderKey, Type: events.AmountMismatch, Severity: "critical", OpenedAt: 1760000000000, ResolvedAt: 1760000000123,
			Expected: "100.50 EUR", Seen: "99 EUR", AtStake: "1.50", AtStakeCurrency: "EUR",
			Evidence: []string{"ramp.intent.v1-3-1", "ramp.webhook.v1-3-42"},
		},
		"Discrepancy-minimal": events.Discrepancy{Key: minimalKey, Type: events.Stuck, Severity: "info"},
		"CheckTask-full": events.CheckTask{
			Key: orderKey, DueAt: 1760000000000, Cause: events.CauseHint, HintAt: 1760000000001, Known: true,
			Status: events.StatusPending, Since: 1760000000002, GiveUp: true, ExpectedAmount: "100.50", ExpectedCurrency: "EUR",
		},
		"CheckTask-minimal": events.CheckTask{Key: minimalKey},
		"LaneState-full": events.LaneState{Lane: "kado/acme", NonceReserved: 9007199254740993, RetryAfter: 1760000000000,
			Budget: "2.5", UpdatedAt: 1760000000123},
		"LaneState-minimal": events.LaneState{Lane: "p/a"},
		"ReconcilerPosition-full": events.Position{
			Partition: 11, States: 9007199254740993, Digest: "0123456789abcdef0123456789abcdef", RulesVersion: "rules-1",
			Next: []events.InputOffset{{Topic: "ramp.intent.v1", Offset: 1}, {Topic: "ramp.status-check.v1", Offset: 64}, {Topic: "ramp.webhook.v1", Offset: 8192}},
		},
		"ReconcilerPosition-minimal": events.Position{},
	}
}

// samplesOfVersion2 are those of the records that version 2 of the schemas has
// changed, with what was added.
func samplesOfVersion2() map[string]any {
	listed := func(st events.State) events.State {
		for i, e := range st.Evidence {
			st.Evidence[i].Listed = e.Kind <= events.EvidencePoll
		}
		return st
	}
	position := samples()["ReconcilerPosition-full"].(events.Position)
	position.RulesGeneration, position.RulesCode, position.Superseded = 2, 3, []string{"0123456789abcdef", "fedcba9876543210"}
	customer := fullCustomerState()
	customer.Evidence = fullOrderState().Evidence
	return map[string]any{
		"OrderState-full": listed(fullOrderState()), "OrderState-minimal": events.State{Key: minimalKey},
		"CustomerState-full": listed(customer), "CustomerState-minimal": samples()["CustomerState-minimal"],
		"ReconcilerPosition-full": position, "ReconcilerPosition-minimal": events.Position{},
	}
}

var (
	orderKey    = events.Key{Provider: "kado", Account: "acme", ID: "order-1"}
	customerKey = events.Key{Provider: "zumo", Account: "acme.eu", Kind: events.Customer, ID: "c:77"}
	minimalKey  = events.Key{Provider: "p", Account: "a", ID: "o"}
)

func fullFacts() events.Facts {
	return events.Facts{
		FiatAmount: "100.50", FiatCurrency: "EUR", CryptoAmount: "0.001000000000000001", CryptoAsset: "ETH", CryptoNetwork: "ethereum",
		CryptoReceiveMin: "0.0009", Side: "buy", TxHash: "0xabc", CustomerID: "cust-1", MerchantRef: "shop-17", CustomerRef: "user-4",
		ExternalID: "ext-9", StatusInData: "transferring", FundsTaken: "true", ProviderCreatedAt: 1759999999000, KYCLevel: "L2",
		DocsUploaded: "false", VerificationStatus: "ACCEPTED", WalletStatus: "Active", WalletID: "w-3",
		WalletAccounts: events.JoinWalletAccounts([]events.WalletAccount{
			{ID: "wa-1", Network: "bitcoin", Coin: "BTC", Symbol: "btc", Address: "bc1q"}, {ID: "wa-2"},
		}),
	}
}

// saidFacts are those that a provider can state.
func saidFacts() events.Facts {
	f := fullFacts()
	f.CryptoReceiveMin, f.MerchantRef, f.CustomerRef = "", "", ""
	return f
}

func fullStated() events.Facts {
	return events.Facts{
		FiatAmount: "100.5", FiatCurrency: "EUR", CryptoAmount: "0.002", CryptoAsset: "ETH", CryptoNetwork: "base", CryptoReceiveMin: "0.0008",
		Side: "sell", CustomerID: "cust-2", MerchantRef: "shop-18", CustomerRef: "user-5", ExternalID: "ext-8",
	}
}

func fullWebhook() events.Webhook {
	return events.Webhook{
		Key: orderKey, EventID: "00112233445566778899aabbccddeeff", ObservedAt: 1760000000123, Trust: events.TrustSigned,
		HintReason: "stale", EventType: "order.settled", StatusRaw: "settled", Status: events.StatusCompleted, DeliveryID: "d-5",
		BodyDigest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Scheme: "canonical/current", Facts: saidFacts(),
	}
}

func fullIntent() events.Intent {
	return events.Intent{Key: orderKey, EventID: "c0ffee", ObservedAt: 1760000000000, Revision: 3, Facts: fullStated(),
		Operator: "op-7", Reason: "corrected", Source: "shop"}
}

func fullStatusCheck() events.StatusCheck {
	return events.StatusCheck{
		Key: customerKey, EventID: "00112233445566778899aabbccddeeff", ObservedAt: 1760000000123, AnsweredAt: 1760000000456,
		Cause: events.CauseConfirm, Outcome: events.OutcomeOK, StatusRaw: "\u0441\u0442\u0430\u0442\u0443\u0441", Status: events.StatusOnHold,
		HTTPStatus: 200, Attempt: 2, RetryAfter: 1760000009000, Facts: saidFacts(),
	}
}

func fullOrderState() events.State {
	at := func(topic string, n int64) events.Sighting {
		return events.Sighting{At: events.Millis(1760000000000 + n), EventID: "00112233445566778899aabbccddeeff", Topic: topic, Partition: 3, Offset: n}
	}
	return events.State{
		Key: orderKey, Status: events.StatusDisputed, StatusRaw: "settled", DecidedBy: "amount_mismatch", DecidedSource: "poll", Terminal: true,
		Since: 1760000000001, FirstSeenAt: 1760000000002, LastSeenAt: 1760000000003, StaleSince: 1760000000004,
		Facts: columns(events.Order, fullFacts()), Expected: fullStated(), Open: []string{"AMOUNT_MISMATCH", "STUCK"}, RulesVersion: "rules-1",
		Evidence: []events.Evidence{
			{Kind: events.EvidenceWebhook, Word: "settled", Digest: "0123456789abcdef0123456789abcdef", First: at("ramp.webhook.v1", 5), Facts: fullFacts()},
			{Kind: events.EvidenceWebhookMore, Word: "settled", First: at("ramp.webhook.v1", 6)},
			{Kind: events.EvidencePoll, Word: "!timeout", First: at("ramp.status-check.v1", 7), Last: at("ramp.status-check.v1", 300)},
			{Kind: events.EvidencePoll, Word: "settled", First: at("ramp.status-check.v1", 8), Last: at("ramp.status-check.v1", 301), Facts: fullFacts()},
			{Kind: events.EvidenceIntent, Digest: "fedcba9876543210fedcba9876543210", First: at("ramp.intent.v1", 9), Revision: 3, Facts: fullStated()},
			{Kind: events.EvidenceDecision, Word: "COMPLETED", Digest: "aa", First: at("ramp.intent.v1", 10), Operator: "op-7", Reason: "bank statement seen"},
			{Kind: events.EvidenceOverflow, Word: "poll", First: at("ramp.status-check.v1", 11)},
			{Kind: events.EvidenceFuture, Word: "webhook", First: at("ramp.webhook.v1", 12)},
		},
	}
}

func fullCustomerState() events.State {
	s := fullOrderState()
	s.Key, s.Facts = customerKey, columns(events.Customer, fullFacts())
	s.Expected = events.Facts{CustomerID: "cust-2", CustomerRef: "user-5", ExternalID: "ext-8"}
	s.Status, s.StatusRaw, s.DecidedBy = events.StatusUnknown, "L2", "customer_latest"
	s.Evidence = []events.Evidence{
		{Kind: events.EvidenceForget, Digest: "aa", First: s.Evidence[0].First, Operator: "op-7", Reason: "erasure"},
	}
	return s
}
