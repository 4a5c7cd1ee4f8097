package app

import (
	"fmt"

	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/providers"
)

// Rules compiles the settings and the vocabulary of every configured account.
func Rules(cfg config.Config, ps []providers.Provider) (order.Rules, error) {
	lanes := map[events.Lane]events.Vocabulary{}
	for _, a := range cfg.Accounts {
		p, err := providerOf(ps, a.Provider)
		if err != nil {
			return order.Rules{}, err
		}
		lanes[events.LaneOf(a.Provider, a.Account)] = p.Vocabulary(a)
	}
	r := cfg.Rules
	return order.NewRules(order.Settings{
		Generation: r.Generation,
		Margin:     r.Margin, Confirm: r.Confirm, MinInterval: r.MinInterval, MaxInterval: r.MaxInterval, Horizon: r.Horizon,
		MissingWebhook: r.MissingWebhook, Stuck: r.Stuck,
		ConfirmationsCompleted: r.ConfirmationsCompleted, ConfirmationsOther: r.ConfirmationsOther,
	}, lanes)
}

func providerOf(ps []providers.Provider, name events.Provider) (providers.Provider, error) {
	for _, p := range ps {
		if p.Name == name {
			return p, nil
		}
	}
	return providers.Provider{}, fmt.Errorf("no provider %q in this program", name)
}
