package target

import (
	"container/list"
	"net/netip"
	"testing"
	"time"
)

func newGuessing(burst int) *guessing {
	return &guessing{burst: burst, byHost: map[netip.Addr]*list.Element{}}
}

func TestWrongResponsesOfAnAddressAreBounded(t *testing.T) {
	g := newGuessing(3)
	now := time.Unix(1000, 0)
	from, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	looked := 0
	judge := func(a netip.Addr, ok bool) judgement {
		return g.judge(now, a, func() bool { looked++; return ok })
	}
	for i, step := range []struct {
		wait time.Duration
		ok   bool
		want judgement
	}{
		{0, false, wrong}, {0, true, right}, {0, false, wrong}, {0, false, wrong},
		{0, true, unreadNews}, {0, false, unread}, {guessPause - 1, true, unread},
		{1, true, right}, {0, false, wrong}, {0, true, unread},
		{3 * guessPause, false, wrong}, {guessPause * 5, false, wrong}, {0, false, wrong}, {0, false, wrong}, {0, false, unreadNews},
	} {
		now = now.Add(step.wait)
		if got := judge(from, step.ok); got != step.want {
			t.Fatalf("step %d: %d, want %d", i, got, step.want)
		}
	}
	if judge(other, false) != wrong || judge(other, true) != right {
		t.Error("another address is held up too")
	}
	if g.wrong != 9 || g.unread != 5 || looked != 12 {
		t.Errorf("wrong %d, unread %d, looked at %d", g.wrong, g.unread, looked)
	}
}

func TestASubnetOfIPv6IsOneGuesser(t *testing.T) {
	g := newGuessing(1)
	now := time.Unix(1000, 0)
	never := func() bool { return false }
	if g.judge(now, netip.MustParseAddr("2001:db8::1%eth0"), never) != wrong {
		t.Error("the first is not looked at")
	}
	if g.judge(now, netip.MustParseAddr("2001:db8::2"), never) != unreadNews {
		t.Error("a neighbour may guess on")
	}
	if g.judge(now, netip.MustParseAddr("2001:db8:0:1::1"), never) != wrong {
		t.Error("another subnet is held up")
	}
}

func TestWhatIsRememberedOfGuessersIsBounded(t *testing.T) {
	g := newGuessing(1)
	now := time.Unix(1000, 0)
	never := func() bool { return false }
	a := netip.MustParseAddr("10.0.0.0")
	first := a
	for range maxGuessers + 100 {
		g.judge(now, a, never)
		a = a.Next()
	}
	if len(g.byHost) != maxGuessers || g.recent.Len() != maxGuessers {
		t.Errorf("%d and %d are remembered", len(g.byHost), g.recent.Len())
	}
	if g.judge(now, first, never) != wrong {
		t.Error("the first is still remembered")
	}
	if g.judge(now, a.Prev(), never) != unreadNews {
		t.Error("the last is forgotten")
	}
}
