package main

import (
	"strings"
	"testing"

	"github.com/tandem-san/tandem/api"
)

func TestForceNamesWhatMayBeLost(t *testing.T) {
	status := func(mode string, link int, l api.LUN) api.Status {
		l.Name, l.Candidates = "data", []int{1, 2, 3}
		return api.Status{Node: 2, Mode: mode, Nodes: []api.Node{{ID: 1, Link: link}, {ID: 3, Link: link}}, LUNs: []api.LUN{l}}
	}
	for name, test := range map[string]struct {
		s    api.Status
		want []string // a part of each line
	}{
		"an unknown logical unit":  {api.Status{Node: 1}, nil},
		"the primary is reached":   {status("active-active-forward", 2, api.LUN{Primary: 1}), nil},
		"the primary is lost":      {status("active-active-forward", 1, api.LUN{Primary: 1}), []string{"controller 1 is not reached and not fenced"}},
		"mode 1":                   {status("active-active", 1, api.LUN{Primary: 1}), []string{"controller 1 is", "controller 3 is"}},
		"it serves here":           {status("active-standby", 2, api.LUN{Primary: 2, Serving: true, Alarm: "an old one"}), nil},
		"the state is out of date": {status("active-standby", 1, api.LUN{Primary: 2, Alarm: "not served: older"}), []string{"not served: older"}},
		"the primary has no fence": {status("active-standby", 1, api.LUN{Primary: 1, Alarm: "no fence"}), []string{"acknowledged data of data is lost", "no fence"}},
	} {
		got := atStake(test.s, "data")
		if len(got) != len(test.want) {
			t.Errorf("%s: %q, expected %d lines", name, got, len(test.want))
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q lacks %q", name, got[i], want)
			}
		}
	}
}
