package target

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-san/tandem/block"
)

// classes are the types of service or traffic classes of the connections that
// a server has accepted.
func (s *Server) classes(t *testing.T, level, option int) (all []int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		raw, err := c.net.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			class, err := unix.GetsockoptInt(int(fd), level, option)
			if err != nil {
				t.Error(err)
			}
			all = append(all, class)
		})
		if err != nil && !errors.Is(err, net.ErrClosed) { // one of an earlier look may be about to go
			t.Fatal(err)
		}
	}
	return all
}

func TestPacketsHaveTheDSCPOfTheirPortalGroup(t *testing.T) {
	for _, tc := range []struct {
		portal        string
		level, option int
	}{
		{"127.0.0.1:0", unix.IPPROTO_IP, unix.IP_TOS},
		{"[::1]:0", unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
	} {
		config := func(dscp uint8) Config {
			return Config{PortalGroups: []PortalGroup{{Name: "pg0", Tag: 1, Portals: []netip.AddrPort{netip.MustParseAddrPort(tc.portal)}, DSCP: dscp}}}
		}
		s, err := New(config(46), Options{Pool: block.NewPool(1 << 20)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		see := func(want int) {
			t.Helper()
			conn, err := net.Dial("tcp", s.Portals()["pg0"][0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var got []int
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if got = s.classes(t, tc.level, tc.option); len(got) == 1 && got[0] == want {
					return
				}
			}
			t.Errorf("%s: traffic classes %v, want %d", tc.portal, got, want)
		}
		see(46 << 2)
		if err := s.Apply(config(10)); err != nil {
			t.Fatal(err)
		}
		see(10 << 2)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx) // the error says that connections were left
		if _, err := New(config(64), Options{Pool: block.NewPool(1 << 20)}); err == nil {
			t.Error("DSCP 64 was taken")
		}
	}
}
