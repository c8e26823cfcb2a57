package isns

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// book is a server that writes down what it is asked, and answers as answer
// says.
type book struct {
	t        testing.TB
	listener net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex
	asked  []string
	answer func(*Message) *Message // nil: no answer
}

func newBook(t testing.TB) *book {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &book{t: t, listener: l, answer: granting}
	b.serving.Go(b.serve)
	t.Cleanup(func() {
		_ = l.Close()
		b.serving.Wait()
	})
	return b
}

// granting answers what a server that has it all does.
func granting(q *Message) *Message {
	a := &Message{Status: Successful}
	if q.Function == DevAttrQry {
		a.Attributes = append(portal(TagPortalAddress, TagPortalPort, here), text(TagISCSIName, "b"), text(TagISCSIName, "a"))
	}
	return a
}

func (b *book) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.serving.Go(func() {
			defer func() { _ = conn.Close() }()
			for {
				q, err := ReadMessage(conn)
				if err != nil {
					return
				}
				b.mu.Lock()
				b.asked = append(b.asked, describe(q))
				a := b.answer(q)
				b.mu.Unlock()
				if a == nil {
					continue
				}
				a.Function, a.Flags, a.Transaction = q.Function|answer, flagServer, q.Transaction
				if _, err := conn.Write(a.Append(nil)); err != nil {
					return
				}
			}
		})
	}
}

// describe is a request in a line.
func describe(q *Message) string {
	words := []string{q.Function.String()}
	if q.Flags&flagReplace != 0 {
		words = append(words, "replace")
	}
	delimited := false
	for _, a := range q.Attributes {
		if !delimited {
			delimited = a.Tag == TagDelimiter
			continue
		}
		switch a.Tag {
		case TagEntityID, TagISCSIName:
			if len(a.Value) == 0 {
				continue // of a query: its value is asked for
			}
			words = append(words, strings.TrimRight(string(a.Value), "\x00"))
		case TagPortalPort:
			if len(a.Value) == 4 {
				words = append(words, fmt.Sprint(int(a.Value[2])<<8|int(a.Value[3])))
			}
		}
	}
	return strings.Join(words, " ")
}

func (b *book) address() netip.AddrPort { return netip.MustParseAddrPort(b.listener.Addr().String()) }

func (b *book) read() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func (b *book) answerWith(f func(*Message) *Message) {
	b.mu.Lock()
	b.answer = f
	b.mu.Unlock()
}

// await waits until the server was asked something.
func (b *book) await(want string) {
	b.t.Helper()
	for end := time.Now().Add(patience); !slices.Contains(b.read(), want); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("it was never asked %q but %q", want, b.read())
		}
	}
}

var here = netip.MustParseAddrPort("192.0.2.1:3260")

func entity(shared bool, names ...string) Entity {
	e := Entity{ID: "host", Shared: shared}
	for _, n := range names {
		e.Nodes = append(e.Nodes, Node{Name: n, Groups: []Group{{257, []netip.AddrPort{here}}}})
	}
	return e
}

func (b *book) start(period time.Duration, e Entity) *Registrar {
	return Start(Config{Servers: []netip.AddrPort{b.address()}, Period: period, Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)}, e)
}

func TestARegistrationIsMadeChangedAndTakenOff(t *testing.T) {
	b := newBook(t)
	r := b.start(time.Hour, entity(false, "a", "b"))
	b.await("DevAttrReg replace host 3260 a b")
	r.Update(entity(false, "b", "c"))
	b.await("DevAttrReg host 3260 b c")
	r.Update(Entity{ID: "host"})
	b.await("DevDereg host")
	r.Update(entity(false, "a"))
	b.await("DevAttrReg host 3260 a")
	r.Stop()
	want := []string{
		"DevAttrReg replace host 3260 a b",
		"DevDereg a", "DevAttrReg host 3260 b c",
		"DevDereg host", "DevAttrReg host 3260 a",
		"DevDereg host",
	}
	if got := b.read(); !slices.Equal(got, want) {
		t.Errorf("asked %q\nwant %q", got, want)
	}
}

func TestWhoSharesAnEntityTouchesOnlyItsOwnPortals(t *testing.T) {
	b := newBook(t)
	r := b.start(time.Hour, entity(true, "a"))
	b.await("DevAttrReg host 3260 a")
	r.Stop()
	if got := b.read(); !slices.Equal(got, []string{"DevAttrReg host 3260 a", "DevDereg 3260"}) {
		t.Errorf("asked %q", got)
	}
}

func TestAServerThatForgetsIsToldAgain(t *testing.T) {
	for name, answer := range map[string]Message{
		"no such entry": {Status: NoSuchEntry},
		"nothing found": {},
		"no portal":     {Attributes: []Attribute{text(TagISCSIName, "a")}},
		"no target":     {Attributes: portal(TagPortalAddress, TagPortalPort, here)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			r := b.start(time.Second, entity(false, "a"))
			defer r.Stop()
			b.await("DevAttrQry")
			b.answerWith(func(q *Message) *Message {
				if q.Function == DevAttrQry {
					return &Message{Status: answer.Status, Attributes: answer.Attributes}
				}
				return granting(q)
			})
			b.await("DevAttrReg host 3260 a") // the first one replaced
		})
	}
}

func TestARefusedRegistrationIsTriedAgain(t *testing.T) {
	b := newBook(t)
	b.answerWith(func(*Message) *Message { return &Message{Status: 8} })
	r := b.start(time.Second, entity(false, "a"))
	defer r.Stop()
	b.await("DevAttrReg replace host 3260 a")
	b.answerWith(granting)
	b.await("DevAttrQry")
}

func TestTheServersPeriodCounts(t *testing.T) {
	b := newBook(t)
	b.answerWith(func(q *Message) *Message {
		a := granting(q)
		if q.Function == DevAttrReg {
			a.Attributes = []Attribute{number(TagRegistrationPeriod, 1)}
		}
		return a
	})
	r := b.start(time.Hour, entity(false, "a"))
	defer r.Stop()
	b.await("DevAttrQry")
}

func TestAServerThatDoesNotAnswerHoldsNothingUp(t *testing.T) {
	b := newBook(t)
	b.answerWith(func(*Message) *Message { return nil })
	r := Start(Config{Servers: []netip.AddrPort{b.address()}, Period: time.Hour, Timeout: time.Hour}, entity(false, "a"))
	b.await("DevAttrReg replace host 3260 a")
	began := time.Now()
	r.Stop()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("stopping takes %v", took)
	}
}

func TestAServerThatAnswersNoMoreIsNotWaitedForLongAtTheEnd(t *testing.T) {
	b := newBook(t)
	r := Start(Config{Servers: []netip.AddrPort{b.address()}, Period: 3 * time.Second, Timeout: time.Hour}, entity(false, "a"))
	b.await("DevAttrQry") // so the registration is known to have been made
	b.answerWith(func(*Message) *Message { return nil })
	began := time.Now()
	r.Stop()
	if took := time.Since(began); took > farewell+patience/2 {
		t.Errorf("stopping takes %v", took)
	}
	b.await("DevDereg host")
}

func TestManyTargetsAreRegisteredInParts(t *testing.T) {
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("iqn.2026-01.com.example:%04d", i))
	}
	e := entity(false, names...)
	var found []string
	for i, m := range e.registration(time.Hour, true) {
		if n := len(m.Append(nil)); n > chunk+headerLength {
			t.Errorf("message %d has %d bytes", i, n)
		}
		if replaces := m.Flags&flagReplace != 0; replaces != (i == 0) {
			t.Errorf("message %d replaces: %v", i, replaces)
		}
		for _, word := range strings.Fields(describe(m)) {
			if strings.HasPrefix(word, "iqn.") {
				found = append(found, word)
			}
		}
	}
	if !slices.Equal(found, names) {
		t.Errorf("%d targets are registered", len(found))
	}
}

func TestAPortalThatDoesNotOfferATargetIsSaidNotTo(t *testing.T) {
	e := entity(false, "a", "b")
	other := netip.MustParseAddrPort("192.0.2.2:3260")
	e.Nodes[0].Groups = append(e.Nodes[0].Groups, Group{258, []netip.AddrPort{other}})
	want := append([]Attribute{text(TagISCSIName, "b"), number(TagNodeType, nodeTypeTarget), number(TagPGTag, 257)},
		append(append(portal(TagPGPortalAddress, TagPGPortalPort, here), Attribute{Tag: TagPGTag}),
			portal(TagPGPortalAddress, TagPGPortalPort, other)...)...)
	if got := e.Nodes[1].attributes(e.portals()); !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}
