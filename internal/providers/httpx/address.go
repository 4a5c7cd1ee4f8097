package httpx

import (
	"errors"
	"net/netip"
)

// ErrAddress is the cause of a CallError when a provider's name resolved to an
// address that is not public.
var ErrAddress = errors.New("resolved to an address that is not public")

// special are the blocks that no provider is in and that netip does not name:
// shared and reserved space, documentation, benchmarks, and forms of IPv6 that
// carry an IPv4 address. 168.63.129.16 is public by number, but is the
// metadata service inside Azure.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "fec0::/10",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// checkAddress refuses loopback, private, link-local (where cloud metadata
// lives), multicast and special addresses. The address is an IP with a port:
// what the dialer is about to connect to.
func checkAddress(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrAddress
	}
	ip := ap.Addr().Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return ErrAddress
	}
	for _, p := range special {
		if p.Contains(ip) {
			return ErrAddress
		}
	}
	return nil
}
