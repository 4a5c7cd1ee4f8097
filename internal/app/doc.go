// Package app wires the programs: it turns one configuration into clients,
// codec, rules and loops, and runs them until the context ends. The mains and
// rampctl demo call the same functions, so that what the demo shows is what the
// programs do.
//
// It names no concrete provider: mains pass the list.
package app
