// Package integration checks what a run of the programs left behind: it reads
// every topic with a plain client and recomputes from the inputs what the
// outputs must be.
//
// Its tests are the scenarios. One list of them runs, by one code path, on the
// embedded broker and, where KAFKA_BROKERS and REGISTRY_URL name one, on a real
// cluster; the programs run as processes of their own. With
// REAL_KAFKA=required the tests fail if the real half did not run.
package integration
