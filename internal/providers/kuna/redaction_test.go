package kuna_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"rampstream/internal/events"
)

// Nothing of the account, of the request or of the answer may be in an error.
func TestClient_errorsAreClean(t *testing.T) {
	canaries := []string{"canary", "Canary", "example.com", "merchant-1", operationID, customerID, "+380991234567", "my street"}
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []*fake{
			answering(0, ""), answering(500, "canary"), answering(200, "canary@example.com"),
			answering(200, `{"data":{"id":"canary","token":"canary canary","accessToken":"canary\n"}}`),
			answering(200, `{"data":[{"id":"`+operationID+`","status":"canary canary"}]}`),
		} {
			for _, a := range [...]func() error{
				func() error { _, err := client(t, withKey(), f).CreateCustomer(t.Context(), newCustomer()); return err },
				func() error {
					_, err := client(t, withKey(), f).RampToken(t.Context(), customerID, "canary agent")
					return err
				},
				func() error {
					_, err := open(t, withKey(), env(f)).Orders.Check(t.Context(), question(events.Order, operationID))
					return err
				},
				func() error {
					_, err := open(t, withLogin(), env(f)).Customers.Check(t.Context(), question(events.Customer, customerID))
					return err
				},
			} {
				err := a()
				if err == nil {
					t.Error("a failure was expected")
					continue
				}
				for _, canary := range canaries {
					if strings.Contains(err.Error(), canary) {
						t.Errorf("error %q has %q in it", err, canary)
					}
				}
			}
		}
	})
}
