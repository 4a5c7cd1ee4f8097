// Package providertest is the contract of a provider as one suite of tests.
// Every provider package runs it over a Subject that describes the provider:
//
//	func TestContract(t *testing.T) { providertest.Run(t, subject()) }
//
// What the suite demands is what the programs rely on and no compiler checks:
// that a delivery is believed only if every bit of it that is believed was
// signed, that each failure of a call has one class, that nothing personal or
// secret leaves, that a word nobody has documented never settles an order.
//
// A Subject has no optional fields. What a provider does not have is left empty
// and named in Without, with the reason that its document gives; an empty field
// without a reason fails the suite, and so does a reason beside a filled field.
//
// The suite holds its own table of what an HTTP status means. It shares no code
// with httpx, so that a slip there is not copied here.
package providertest
