package node

import (
	"context"
	"log/slog"

	"github.com/tandem-san/tandem/ha"
)

// maxLines is how many lines the log gets of one thing that happens to many
// logical units at once. When it happens to more there is a single line.
const maxLines = 8

// line is what the log says of a logical unit, without its name.
type line struct {
	text  string
	alarm bool
	route ha.Route
}

// say writes to the log what a step decided. With a thousand logical units that
// would be thousands of lines, and the loop would wait for them.
func (n *Node) say(actions []ha.Action) {
	var order []line
	names := map[line][]string{}
	for _, a := range actions {
		var l line
		var name string
		switch a := a.(type) {
		case ha.Note:
			l, name = line{text: a.Text, alarm: a.Alarm}, a.LUN
		case ha.Route:
			l, name = line{text: "route", route: a}, a.LUN
			l.route.LUN = ""
		case ha.Disconnect:
			l, name = line{text: "no service for too long: closing the sessions", alarm: true}, a.LUN
		default:
			continue
		}
		if len(names[l]) == 0 {
			order = append(order, l)
		}
		names[l] = append(names[l], name)
	}
	for _, l := range order {
		luns := names[l]
		if len(luns) > maxLines {
			n.sayLine(l, "luns", len(luns), "first", luns[0], "last", luns[len(luns)-1])
			continue
		}
		for _, name := range luns {
			n.sayLine(l, "lun", name)
		}
	}
}

func (n *Node) sayLine(l line, who ...any) {
	level := slog.LevelInfo
	if l.alarm {
		level = slog.LevelError
	}
	if r := l.route; l.text == "route" {
		who = append(who, "route", r.Kind, "primary", r.Primary, "epoch", r.Epoch)
	}
	n.log.Log(context.Background(), level, l.text, who...)
}
