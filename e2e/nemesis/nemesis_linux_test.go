// Package nemesis runs whole clusters as real processes, each member in a
// network namespace of its own, lets clients write and read over several paths,
// and breaks things meanwhile: what, when and for how long is drawn from one
// seed. Afterwards it judges what the clients have seen: the history of every
// block must be that of one register (porcupine), no client may have seen a hard
// error, a reservation must have held all the time, and the service must have
// come back.
//
// A round is told from its seed: the faults and what the clients want to do are
// the same each time, what the machine makes of it is not. So a seed that failed
// is likely to fail again, and need not.
//
// It must never judge by what a member says of itself, and it must leave nothing
// behind: the namespaces have no names and end with this process, as do all
// processes it started.
package nemesis

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "the seed of one round to run (TestOneRound)")
	modeFlag     = flag.Int("mode", 2, "the mode of that round")
	nodesFlag    = flag.Int("nodes", 2, "the controllers of that round")
	soakFlag     = flag.Duration("soak", 0, "how long TestSoak runs rounds")
	faultsFlag   = flag.Duration("faults", 5*time.Second, "for how long a round breaks things")
	keepFlag     = flag.String("keep", os.TempDir(), "directory in which the directory of a round that failed is left")
	recoveryTime = flag.Duration("recovery", 20*time.Second, "within that time after the last fault everything must serve again")
)

// The binary under test, and the directory that everything is in.
var tandem, workplace string

func TestMain(m *testing.M) {
	flag.Parse()
	// Tools of the network are not in the PATH of every user.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if workplace = os.Getenv(workplaceVariable); workplace != "" {
		tandem = filepath.Join(workplace, "tandem")
		goleak.VerifyTestMain(m)
	}
	code, err := guarded()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nemesis:", err)
		code = 1
	}
	os.Exit(code)
}
