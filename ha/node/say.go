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
		level := slog.LevelInfo
		if l.alarm {
			level = slog.LevelError
		}
		var more []any
		if r := l.route; l.text == "route" {
			more = []any{"route", r.Kind, "primary", r.Primary, "epoch", r.Epoch}
		}
		n.sayOf(level, l.text, names[l], more...)
	}
}

// sayOf writes the same of several logical units to the log, each in a line or
// all in one.
func (n *Node) sayOf(level slog.Level, text string, luns []string, more ...any) {
	if len(luns) > maxLines {
		n.log.Log(context.Background(), level, text, append(named(luns), more...)...)
		return
	}
	for _, name := range luns {
		n.log.Log(context.Background(), level, text, append(named([]string{name}), more...)...)
	}
}

// named is how a single line names logical units, one at least.
func named(luns []string) []any {
	if len(luns) == 1 {
		return []any{"lun", luns[0]}
	}
	return []any{"luns", len(luns), "first", luns[0], "last", luns[len(luns)-1]}
}
