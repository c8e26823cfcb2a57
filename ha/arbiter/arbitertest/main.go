package arbitertest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// lingering is how long connections between members may outlive both: etcd's
// peer listener renews the read deadline of a connection on each read, which
// can undo the deadline by which net/http interrupts that read, and the
// connection then ends only when rafthttp.DefaultConnReadTimeout (5 s) passes.
const lingering = 10 * time.Second

// Main is the TestMain of packages that use this one: it runs the tests and
// demands that no goroutine is left, when etcd's connections have had their
// time to end.
func Main(m *testing.M) {
	code := m.Run()
	var err error
	for deadline := time.Now().Add(lingering); time.Now().Before(deadline); {
		if err = goleak.Find(); err == nil {
			break
		}
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
