// Tandem-sim lives through simulated lives of a cluster and tells the story of
// one; see package sim.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/tandem-san/tandem/sim"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("tandem-sim", flag.ContinueOnError)
	flags.SetOutput(errs)
	seed := flags.Uint64("seed", 0, "the seed of the first life")
	lives := flags.Uint64("lives", 1, "how many lives, from consecutive seeds")
	trace := flags.Bool("trace", false, "tell everything that happens")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	code := 0
	for s := *seed; s < *seed+*lives; s++ {
		var o sim.Options
		if *trace {
			o.Story = out
		}
		r := sim.Run(s, o)
		if r.Violation != nil {
			fmt.Fprintf(out, "seed %d: %v\n", s, r.Violation)
			code = 1
		}
		if *lives == 1 {
			fmt.Fprintf(out, "seed %d lasted %v: %+v\n", s, r.Lasted, r.Counts)
		}
	}
	return code
}
