package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/node"
	"github.com/tandem-san/tandem/iscsi/isns"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/copymanager"
	"github.com/tandem-san/tandem/lun/statefile"
	"github.com/tandem-san/tandem/pidfile"
)

// How long the steps of leaving may take.
const (
	leaveTime  = 6 * time.Second
	logoutTime = 3 * time.Second
)

// Controller is one controller, assembled. New opens everything, Run serves.
type Controller struct {
	options Options
	log     *slog.Logger
	pool    *block.Pool
	ports   *portNumbers
	target  *target.Server
	cluster *cluster // nil without high availability
	admin   net.Listener
	socket  string // of admin
	pids    []*pidfile.File
	states  *statefile.Dir // nil when states are not kept

	mu     sync.Mutex // protects what a reload changes
	config *ctlconf.Config
	local  map[string]*localUnit
	// units are the logical units as the target ports see them.
	units  map[string]*copymanager.Unit
	copies *copymanager.Manager
	isns   *isns.Registrar // nil without servers, and before Run
}

// New opens what the configuration names: pid files, the admin socket, the
// backends, the arbiter and the link. On an error all of it is closed again.
func New(c *ctlconf.Config, o Options) (_ *Controller, err error) {
	node := 1
	if c.HA != nil {
		node = int(c.HA.ID)
	}
	ctl := &Controller{
		options: o, log: o.Log, config: c,
		pool:   block.NewPool(bufferBudget),
		ports:  newPortNumbers(node),
		local:  map[string]*localUnit{},
		units:  map[string]*copymanager.Unit{},
		socket: cmp.Or(c.Socket, o.Socket, DefaultSocket),
	}
	ctl.copies = copymanager.New(ctl.pool, o.Log)
	defer func() {
		if err != nil {
			if ctl.cluster != nil {
				ctl.cluster.close()
			}
			ctl.close()
		}
	}()
	if err := ctl.takePIDFiles(c); err != nil {
		return nil, err
	}
	if ctl.admin, err = api.Listen(ctl.socket); err != nil {
		return nil, err
	}
	if ctl.states, err = openStates(c); err != nil {
		return nil, err
	}
	if c.HA != nil {
		ctl.cluster, err = openCluster(c, ctl.states, ctl.ports, ctl.pool, o.Log, ctl.disconnect)
		for _, l := range c.LUNs {
			if err == nil {
				ctl.expose(c, l, ctl.cluster.node.Unit(l.Name))
			}
		}
	} else {
		err = ctl.openLocals(c)
	}
	if err != nil {
		return nil, err
	}
	tc, err := targetConfig(c, ctl.ports, ctl.unit)
	if err != nil {
		return nil, err
	}
	if err := ctl.tellCopies(c); err != nil {
		return nil, err
	}
	ctl.target, err = target.New(tc, target.Options{
		Pool: ctl.pool, Logger: o.Log, Limits: target.Limits{LoginTime: loginTime(c.LoginTimeout)},
	})
	return ctl, err
}

// takePIDFiles marks this process as running: in the file of the
// configuration, and in those by which its peers would fence it.
func (c *Controller) takePIDFiles(conf *ctlconf.Config) error {
	paths := map[string]bool{}
	if conf.PIDFile != "" {
		paths[filepath.Clean(conf.PIDFile)] = true
	}
	if conf.HA != nil {
		for _, l := range conf.LUNs {
			if f := l.Options.Fence; f.Kind == ctlconf.FenceProcess {
				paths[filepath.Clean(f.PIDFile(conf.HA.ID))] = true
			}
		}
	}
	for path := range paths {
		f, err := pidfile.Acquire(path)
		if err != nil {
			return err
		}
		c.pids = append(c.pids, f)
	}
	return nil
}

// openLocals opens every logical unit of a controller without high
// availability.
func (c *Controller) openLocals(conf *ctlconf.Config) error {
	var all []error
	for _, l := range conf.LUNs {
		if err := c.openLocal(conf, l); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func (c *Controller) openLocal(conf *ctlconf.Config, l *ctlconf.LUN) error {
	access, err := c.localAccess(conf, l)
	if err != nil {
		return err
	}
	u, err := openLocal(conf, l, c.states, c.pool, c.log, access)
	if err != nil {
		return conf.Errorf(l.At("path"), "%v", err)
	}
	c.local[l.Name] = u
	c.expose(conf, l, u)
	return nil
}

// unit finds the logical unit of a name, as the target ports see it.
func (c *Controller) unit(name string) lun.Unit {
	return c.units[name]
}

// disconnect closes the sessions that use a logical unit, or all of them, so
// that initiators go on through another path. It returns how many when they are
// gone with all they had sent.
func (c *Controller) disconnect(ctx context.Context, name string) (closed int, err error) {
	var which target.SessionFilter
	if name != "" {
		which.Unit = c.unit(name)
	}
	return c.target.CloseSessions(ctx, which)
}

// Run serves until ctx ends; then it hands over what it can, lets the
// initiators log out, and closes everything. It returns nil when it was asked
// to end.
func (c *Controller) Run(ctx context.Context) error {
	defer c.close()
	// What serves outlives ctx until everything has been handed over.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 3)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	if c.cluster != nil {
		wg.Go(func() {
			if err := c.cluster.run(serving); err != nil {
				failed <- err
			}
		})
	}
	wg.Go(func() {
		if err := api.Serve(serving, c.admin, c, c.options.Version); err != nil {
			failed <- err
		}
	})
	if err := c.target.Start(); err != nil {
		return err
	}
	wg.Go(func() { c.announce(serving) })
	if err := c.startISNS(); err != nil {
		failed <- err
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		c.log.Error("this controller cannot go on", "error", err)
	}
	c.leave()
	return err
}

// announce writes the ready line once every logical unit can be reached.
func (c *Controller) announce(ctx context.Context) {
	for ctx.Err() == nil {
		if c.ready() {
			c.mu.Lock()
			conf := c.config
			c.mu.Unlock()
			c.log.Info("ready", "portals", portals(conf), "socket", c.socket, "luns", len(conf.LUNs))
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ready reports whether every logical unit is served, here or at a peer.
func (c *Controller) ready() bool {
	if c.cluster == nil {
		return true
	}
	s, err := c.cluster.node.Status()
	if err != nil {
		return false
	}
	for _, u := range s.Units {
		if !u.Serving && u.Route.Kind != ha.RouteForward {
			return false
		}
	}
	return true
}

// portals are the addresses that are listened on.
func portals(c *ctlconf.Config) []string {
	var out []string
	for _, g := range c.PortalGroups {
		if !g.Used || g.Foreign {
			continue
		}
		for _, p := range g.Portals {
			out = append(out, p.Address.String())
		}
	}
	return out
}

// leave hands over and says goodbye.
func (c *Controller) leave() {
	// Nobody is to be sent here any more; a server that does not answer holds
	// nothing up until the end.
	var deregistration sync.WaitGroup
	deregistration.Go(c.stopISNS)
	if c.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
		if err := c.cluster.node.Leave(ctx); err != nil {
			c.log.Warn("leaving without having handed over everything", "error", err)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(context.Background(), logoutTime)
	defer cancel()
	if err := c.target.Shutdown(ctx); err != nil {
		c.log.Warn("not every initiator has logged out", "error", err)
	}
	c.copies.Close()
	deregistration.Wait()
	c.log.Info("stopped")
}

// close releases what New opened and Run did not.
func (c *Controller) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, u := range c.local {
		if err := u.close(); err != nil {
			c.log.Error("closing a logical unit", "lun", name, "error", err)
		}
	}
	if c.admin != nil {
		c.admin.Close()
	}
	if c.states != nil {
		c.states.Close()
	}
	for _, f := range c.pids {
		f.Release()
	}
}

// Drain implements api.Controller.
func (c *Controller) Drain(ctx context.Context, m api.Maintenance) (int, error) {
	return c.maintain(ctx, m, (*node.Node).Drain)
}

// Undrain implements api.Controller.
func (c *Controller) Undrain(ctx context.Context, m api.Maintenance) (int, error) {
	return c.maintain(ctx, m, (*node.Node).Undrain)
}

func (c *Controller) maintain(ctx context.Context, m api.Maintenance, do func(*node.Node, context.Context, ha.NodeID) error) (int, error) {
	if c.cluster == nil {
		return 0, errors.New("there is no high availability here: no other controller can serve its logical units")
	}
	id := cmp.Or(m.Node, int(c.config.HA.ID))
	return id, do(c.cluster.node, ctx, ha.NodeID(id))
}

// Promote implements api.Controller.
func (c *Controller) Promote(ctx context.Context, p api.Promotion) error {
	if c.cluster == nil {
		return fmt.Errorf("logical unit %q: there is no high availability here: this controller is its only one", p.LUN)
	}
	return c.cluster.node.Promote(ctx, p.LUN, p.Force)
}
