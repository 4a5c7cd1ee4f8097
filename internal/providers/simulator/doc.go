// Package simulator plays the providers: HTTP servers that speak Kado's,
// Kanga's, Koinal's, Zumo's and KunaCore's documented APIs, check what the real
// ones would check, send webhooks, and lose, duplicate, delay, reorder and
// contradict on a seed.
//
// A World has any number of accounts. Each is an http.Handler of its own, so
// that it can be used in three ways:
//
//   - in one process: add accounts, Start, read URL, place orders;
//   - under a test server: httptest.NewServer(world.Handler(provider, account)),
//     with Deliver called by hand instead of Start;
//   - alone: a main that adds accounts with Options.Listen naming fixed
//     addresses, calls Start, places orders and waits for a signal.
//
// What an order will go through, and which faults will hit its webhooks and the
// calls about it, is a pure function of the seed, the key of the order and its
// OrderSpec. Goroutines decide only when it happens. Two calls about the same
// order that race may swap their faults; the plan of the order never changes.
//
// The package shares no code with the provider packages that it is spoken to
// by: where both agree, two independent readings of the documents agree. What
// the documents do not state (Koinal's paths and names, KunaCore's callback
// body, how often most providers retry) is a placeholder here and says so.
//
// It is for tests and demonstrations and is not imported by ingest, poller or
// reconciler.
package simulator
