// Tandem-sim lives through simulated lives of a cluster and tells the story of
// one; see package sim.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tandem-san/tandem/sim"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run answers the exit status: 0 when every promise was kept, 1 when one was
// broken, 2 for a wrong flag.
func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("tandem-sim", flag.ContinueOnError)
	flags.SetOutput(errs)
	seed := flags.Uint64("seed", 0, "the seed of the first life")
	lives := flags.Uint64("lives", 1, "how many lives, from consecutive seeds")
	trace := flags.Bool("trace", false, "tell everything that happens")
	from := flags.Duration("from", 0, "with -trace: leave out what happened before, in simulated time")
	theme := flags.String("theme", "", "the kind of the lives: one of "+strings.Join(sim.Themes(), ", ")+"; without it the seed decides")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errs, "tandem-sim: unexpected argument %q: only flags are accepted\n", flags.Arg(0))
		return 2
	}
	if *theme != "" && !slices.Contains(sim.Themes(), *theme) {
		fmt.Fprintf(errs, "tandem-sim: -theme %q: accepted are %s\n", *theme, strings.Join(sim.Themes(), ", "))
		return 2
	}
	code := 0
	for s := *seed; s-*seed < *lives; s++ {
		o := sim.Options{From: *from, Theme: *theme}
		if *trace {
			o.Story = out
		}
		r := sim.Run(s, o)
		switch {
		case r.Violation != nil:
			fmt.Fprintf(out, "seed %d: %v\n", s, r.Violation)
			code = 1
		case *lives == 1:
			fmt.Fprintf(out, "seed %d: every promise was kept in %v: %+v\n", s, r.Lasted, r.Counts)
		}
	}
	return code
}
