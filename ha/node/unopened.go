package node

import (
	"fmt"
	"time"
)

// unopenedPatience is how long a primary tries to open its backend before it
// hands over to a controller that may be able to. Where none is, the logical unit
// goes round no faster than that.
const unopenedPatience = time.Second

// cannotOpen says that this controller is the primary and cannot serve, and after
// a while hands over. Who asked for it, with promote, is told at once.
func (m *mover) cannotOpen(why error) {
	u := m.unit
	text := fmt.Sprintf("not served: the backend cannot be opened on this controller: %v", why)
	if m.refused.due() {
		u.node.log.Error(text, "lun", u.cfg.Name)
	}
	u.node.notes.keep(u.cfg.Name, text, true)
	now := time.Now()
	switch {
	case m.unopened.IsZero():
		m.unopened = now
	case now.Sub(m.unopened) >= unopenedPatience:
		m.unopened = now
		u.node.giveAway(u)
	}
}
