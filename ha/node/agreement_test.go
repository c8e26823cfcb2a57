package node

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
)

func TestWhatControllersDisagreeAboutIsNamedWithBothValues(t *testing.T) {
	sound := func(self ha.NodeID) agreement {
		return agreement{
			Controllers: ha.Nodes(1, 2, 3), Mode: ActiveActive, Heartbeat: 100 * time.Millisecond, Lease: 500 * time.Millisecond,
			Units: map[string]agreeUnit{"a": {What: "1 MiB", Home: self == 1}, "b": {What: "2 MiB", Home: self == 2}},
		}
	}
	for name, test := range map[string]struct {
		change func(*agreement)
		want   string
	}{
		"nothing":         {func(*agreement) {}, ""},
		"the controllers": {func(a *agreement) { a.Controllers = ha.Nodes(1, 2) }, "the list of controllers differs: 1 and 2 and 3 on controller 1, 1 and 2 on controller 2"},
		"the mode":        {func(a *agreement) { a.Mode = ActiveStandby }, "ha mode differs: 1 on controller 1, 0 on controller 2"},
		"the lease":       {func(a *agreement) { a.Lease = time.Second }, "lease differs: 500ms on controller 1, 1s on controller 2"},
		"a size":          {func(a *agreement) { a.Units["a"] = agreeUnit{What: "3 MiB"} }, "logical unit a differs: 1 MiB on controller 1, 3 MiB on controller 2"},
		"a unit missing":  {func(a *agreement) { delete(a.Units, "a") }, "logical unit a exists on controller 1 only"},
		"a unit more":     {func(a *agreement) { a.Units["c"] = agreeUnit{} }, "logical unit c exists on controller 2 only"},
		"two homes":       {func(a *agreement) { a.Units["a"] = agreeUnit{What: "1 MiB", Home: true} }, "logical unit a has two homes: its role is primary on controller 1 and on controller 2"},
		"no home":         {func(a *agreement) { a.Units["b"] = agreeUnit{What: "2 MiB"} }, ""},
	} {
		theirs := sound(2)
		test.change(&theirs)
		b, err := json.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		var told agreement
		if err := json.Unmarshal(b, &told); err != nil {
			t.Fatal(err)
		}
		if err := sound(1).differences(1, 2, told); err == nil && test.want != "" || err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
