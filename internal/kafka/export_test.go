package kafka

// Refresh makes the client look at its topics now.
func (g *TxnGroup) Refresh() { g.cl.ForceMetadataRefresh() }
