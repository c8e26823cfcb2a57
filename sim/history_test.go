package sim

import (
	"strings"
	"testing"
)

// done is an operation of a client that has ended.
func done(client int, k kind, value uint32, call, end int64) *operation {
	return &operation{client: client, kind: k, value: value, call: call, end: end}
}

func TestAHistoryThatNoDiskCouldMakeIsFound(t *testing.T) {
	cases := []struct {
		what    string
		history []*operation
		broken  string // the promise; "" when the history is one of a single disk
	}{
		{"nothing happened", nil, ""},
		{"a read after a write", []*operation{done(0, kindWrite, 1, 1, 2), done(1, kindRead, 1, 3, 4)}, ""},
		{"a read beside a write finds either", []*operation{done(0, kindWrite, 1, 1, 6), done(1, kindRead, 0, 2, 3), done(1, kindRead, 1, 4, 5)}, ""},
		{"a write that never ended may have been done", []*operation{done(0, kindWrite, 1, 1, 0), done(1, kindRead, 1, 3, 4)}, ""},
		{"or not", []*operation{done(0, kindWrite, 1, 1, 0), done(1, kindRead, 0, 3, 4)}, ""},
		{"a lost write", []*operation{done(0, kindWrite, 1, 1, 2), done(1, kindRead, 0, 3, 4)}, "S3"},
		{"a stale read after a newer one", []*operation{done(0, kindWrite, 1, 1, 9), done(1, kindRead, 1, 2, 3), done(2, kindRead, 0, 4, 5)}, "S3"},
		{"a ghost", []*operation{done(0, kindWrite, 1, 1, 2), done(0, kindWrite, 2, 3, 4), done(1, kindRead, 2, 5, 6), done(1, kindRead, 1, 7, 8)}, "S3"},
		{"a value that nobody wrote", []*operation{done(0, kindWrite, 1, 1, 2), done(1, kindRead, 7, 3, 4)}, "S3"},
		{"a lost registration", []*operation{done(0, kindRegister, 1, 1, 2), done(1, kindKeys, 0, 3, 4)}, "S5"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(0, draw(0, ""), Options{})
			w.oracle.history = c.history
			w.oracle.judge()
			switch {
			case c.broken == "" && w.broken != nil:
				t.Errorf("%v", w.broken)
			case c.broken != "" && (w.broken == nil || w.broken.Rule != c.broken || !strings.Contains(w.broken.Text, "not linearizable")):
				t.Errorf("got %v, want %s", w.broken, c.broken)
			}
		})
	}
}

func TestTheRegisterIsCheckedAtOnce(t *testing.T) {
	w := newWorld(0, draw(0, ""), Options{})
	o := &w.oracle
	write := o.began(operation{kind: kindWrite, value: 5})
	before := o.began(operation{client: 1, kind: kindRead})
	o.ended(write, 0)
	if o.ended(before, 0); w.broken != nil {
		t.Fatalf("a read that began before the write had ended: %v", w.broken)
	}
	if o.ended(o.began(operation{client: 1, kind: kindRead}), 0); w.broken == nil || w.broken.Rule != "S3" {
		t.Fatalf("a read after the write finds nothing, and %v is broken", w.broken)
	}
}
