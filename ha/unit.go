package ha

// unit is what one controller keeps about one logical unit.
type unit struct {
	cfg   UnitConfig
	index int   // in the configuration
	grant Grant // the newest known
	// since is when the primary became the primary, as seen from here; reign is
	// the first epoch of it without a break.
	since Instant
	reign uint64

	// As primary.

	promises [MaxNodes + 1]promise // newest of each peer
	firstSeq uint64                // heartbeats before it did not claim this unit
	urgent   bool                  // promises are needed before the next beat
	fenced   NodeSet               // those of the grant's Unfenced that are
	fencing  NodeID                // the action for it is not answered yet
	served   bool                  // it has had the right since it became primary
	kept     uint64                // the epoch into which it has served without a break
	fenceAt  Instant               // not again before it
	drain    handover              // under way
	released uint64                // the epoch given up by a handover
	relAt    Instant               // when
	restAt   Instant               // maintenance gives it away no earlier

	// As follower.

	promised   Instant // no takeover before it
	promisedTo uint64  // the life of the primary that was promised last
	offered    uint64  // the epoch in which the primary gave it up to this controller
	claimed    bool    // the primary was heard since it became primary
	forced     Instant // until when the operator's force lasts
	fit        bool    // it could be served here, since fitSince without a break
	fitSince   Instant

	// Either way.

	pending  *request // sent to the arbiter, outcome unknown
	rest     Instant  // nothing is sent to the arbiter before it
	wantHold bool     // the next step needs the arbiter's lease

	route        Route   // as last told
	right        Instant // as last told
	stalledSince Instant
}

// promise is a peer's word that it will not take over.
type promise struct {
	sent  Instant // when the heartbeat was sent that it answers
	until Instant // the receiver may rely on it
}

// request is a compare-and-set whose outcome is not known.
type request struct {
	change Change
	id     uint64 // of the batch
	slot   int    // in the batch
	doubt  bool   // the answer was lost
	settle uint64 // the Settle that resolves the doubt
}

// handover is a planned move of the primary.
type handover struct {
	active   bool
	to       NodeID // 0: to nobody in particular
	asked    bool   // by that controller
	done     bool   // no command is in flight
	answered bool   // the arbiter has answered since
	deadline Instant
}

// newPrimary forgets what was true of the primary before.
func (u *unit) newPrimary(now Instant, seq uint64) {
	u.since = now
	u.promises = [MaxNodes + 1]promise{}
	u.firstSeq = seq + 1
	u.urgent = true
	u.claimed = false
	u.forced = 0
	u.fit = false
	u.served = false
}

// isOffered reports whether the primary has given the unit up to this controller.
func (u *unit) isOffered() bool { return u.offered != 0 && u.offered == u.grant.Epoch }

// unfenced are the controllers still to be fenced.
func (u *unit) unfenced() NodeSet { return u.grant.Unfenced &^ u.fenced }

// mustFence reports whether a controller has to be fenced before serving, or,
// where this controller has served all along, meanwhile.
func (u *unit) mustFence() bool { return u.unfenced() != 0 && !mutantFenceSkipped }

// mayServe reports whether the grant, leaving time aside, lets self serve.
func (u *unit) mayServe(self NodeID) bool {
	return u.grant.Primary == self && (u.released != u.grant.Epoch || mutantServeAfterRelease) && (!u.mustFence() || u.kept == u.grant.Epoch)
}

// mayBeAlone reports whether the grant, as it is or as a request under way may
// have made it, has self as its only candidate.
func (u *unit) mayBeAlone(self NodeID) bool {
	return u.grant.Primary == self && u.grant.Alone() ||
		u.pending != nil && u.pending.change.To.Primary == self && u.pending.change.To.Alone()
}

// mayHave reports whether n is a candidate, in the grant as it is or as a
// request under way may have made it.
func (u *unit) mayHave(n NodeID) bool {
	return u.grant.Has(n) || u.pending != nil && u.pending.change.To.Has(n) && !mutantWidenByOldGrant
}

// needsHold reports whether the unit needs self to hold the arbiter's lease.
func (u *unit) needsHold(self NodeID) bool {
	return u.wantHold || u.mayBeAlone(self) && u.released != u.grant.Epoch
}
