package ha

// publish tells the caller what changed for one logical unit: until when it
// may serve, where its commands go, and that its sessions should leave.
func (c *Core) publish(u *unit) {
	if until := c.rightUntil(u); until != u.right {
		u.right = until
		u.served = u.served || until > c.now
		c.do(Right{LUN: u.cfg.Name, Epoch: u.grant.Epoch, Until: until})
	}
	if r := c.routeOf(u); r != u.route {
		u.route = r
		c.do(r)
	}
	c.watchStall(u)
}

// routeOf works out where the commands of a logical unit go.
func (c *Core) routeOf(u *unit) Route {
	to := func(k RouteKind) Route {
		return Route{
			LUN: u.cfg.Name, Kind: k,
			Epoch: u.grant.Epoch, Primary: u.grant.Primary, Takeover: u.grant.Unfenced != 0,
			Since: u.reign,
		}
	}
	switch {
	case u.mayServe(c.cfg.Self) && !u.drain.active:
		return to(RouteServe)
	case u.grant.Primary != c.cfg.Self && u.claimed && c.up[u.grant.Primary]:
		return to(RouteForward)
	}
	return Route{LUN: u.cfg.Name}
}

// watchStall asks for the sessions to be closed when a logical unit has been
// without service for too long, and again while that lasts.
func (c *Core) watchStall(u *unit) {
	served := u.route.Kind == RouteForward || u.route.Kind == RouteServe && u.right > c.now
	if served || c.now < u.stalledSince {
		u.stalledSince = c.now
		return
	}
	if c.now-u.stalledSince >= c.cfg.Stall {
		u.stalledSince = c.now
		c.do(Disconnect{LUN: u.cfg.Name})
	}
}
