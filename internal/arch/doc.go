// Package arch holds the architecture as tests: which package may import which,
// what the pure parts must not touch, and the few habits that a reviewer should
// not have to look for. It has no code for the programs. A failing test here
// names the rule; change the table only together with the design.
package arch
