package ingest

import (
	"net/netip"
	"slices"
	"strings"
)

// forwardedFor is where proxies note whom they speak for, the last one last.
const forwardedFor = "X-Forwarded-For"

// admits reports whether a route with a list of addresses takes a request that
// came from remote ("host:port"). Everybody writes X-Forwarded-For, so it is
// read from the right and only as far as our own proxies wrote it: the address
// that counts is the last one that is no proxy of ours.
func (r *Route) admits(remote string, header map[string][]string, proxies []netip.Prefix) bool {
	if len(r.AllowFrom) == 0 {
		return true
	}
	client, ok := clientOf(remote, header[forwardedFor], proxies)
	return ok && within(client, r.AllowFrom)
}

// clientOf is who speaks to us, ok is false where that cannot be said: an
// address that our own proxy should have written is none.
func clientOf(remote string, forwarded []string, proxies []netip.Prefix) (client netip.Addr, ok bool) {
	client, ok = address(remote)
	if !ok || len(forwarded) == 0 {
		return client, ok
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !within(client, proxies) {
			return client, true
		}
		if client, ok = address(hop); !ok {
			return netip.Addr{}, false
		}
	}
	return client, true
}

func within(a netip.Addr, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// address reads "192.0.2.1", "2001:db8::1" and both with a port. An IPv4
// address in IPv6 clothes is the IPv4 address.
func address(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}
