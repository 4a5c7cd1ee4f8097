package kafka

// Refresh makes the client look at its topics now.
func (g *TxnGroup) Refresh() { g.cl.ForceMetadataRefresh() }

// ParseJAAS is parseJAAS.
func ParseJAAS(s string) (module, user, pass string, err error) { return parseJAAS(s) }
