package ha

// writers are, per logical unit, the secondaries that may have been allowed to
// write by a brain that is over, or by the present one. What the present brain
// allowed it knows of; what an earlier one did must be over before the present
// one serves (S4).
type writers map[string]*writing

type writing struct {
	brain worldLife               // who serves, without a break
	by    map[worldLife]worldLife // who may write, and who allowed it
}

// worldLife is one life of a controller.
type worldLife struct {
	node NodeID
	life uint64
}

func (w writers) of(lun string) *writing {
	if w[lun] == nil {
		w[lun] = &writing{by: map[worldLife]worldLife{}}
	}
	return w[lun]
}

// drained: the brain has waited for all that it allowed.
func (w writers) drained(n *worldNode, lun string) {
	x := w.of(lun)
	for writer, by := range x.by {
		if by == (worldLife{n.id, n.life}) {
			delete(x.by, writer)
		}
	}
}

// settled: a controller that has a new link says so only when what it was
// allowed over earlier ones is done.
func (w *world) settled(n *worldNode, peer NodeID) {
	for _, x := range w.writers {
		for writer, by := range x.by {
			if writer.node == peer && by.node == n.id {
				delete(x.by, writer)
			}
		}
	}
}

// checkWriters looks at who serves: a brain that has just begun must not find
// anybody alive whom an earlier one allowed to write. It then allows every other
// candidate.
func (w *world) checkWriters(u UnitConfig) {
	x := w.writers.of(u.Name)
	if n := w.nodes[x.brain.node]; n != nil && (n.life != x.brain.life || n.routes[u.Name].Kind != RouteServe) {
		x.brain = worldLife{}
	}
	for _, n := range w.nodes {
		if !u.SecondaryWrites || n.paused || !w.serving(n, u.Name) {
			continue
		}
		if self := (worldLife{n.id, n.life}); x.brain != self {
			x.brain = self
			w.checkBegin(u, x)
		}
		for _, c := range n.core.named[u.Name].grant.Candidates {
			if c != n.id && w.nodes[c].core != nil {
				x.by[worldLife{c, w.nodes[c].life}] = x.brain
			}
		}
	}
}

func (w *world) checkBegin(u UnitConfig, x *writing) {
	for writer := range x.by {
		alive := w.nodes[writer.node].core != nil && w.nodes[writer.node].life == writer.life
		if alive && writer != x.brain && !w.fenceIsVain {
			w.t.Fatalf("S4 broken at %v: controller %d begins to serve %s while controller %d may write\n%s%s",
				w.now, x.brain.node, u.Name, writer.node, w.log.String(), w.describe())
		}
		delete(x.by, writer)
	}
}
