package kafka

// Refresh makes the client look at its topics now.
func (g *TxnGroup) Refresh() { g.cl.ForceMetadataRefresh() }

// AnnounceLate is what the client's goroutine does that was slow to say that a
// rebalance waits, when the next assignment has long begun.
func (g *Group) AnnounceLate() {
	g.lease.wait()
	g.blocked.Store(true)
}

// ParseJAAS is parseJAAS.
func ParseJAAS(s string) (module, user, pass string, err error) { return parseJAAS(s) }
