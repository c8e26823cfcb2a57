package controller

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
	"github.com/tandem-san/tandem/ha/node"
	"github.com/tandem-san/tandem/iscsi"
)

// Status implements api.Controller.
func (c *Controller) Status(ctx context.Context) (api.Status, error) {
	c.mu.Lock()
	conf := c.config
	s := api.Status{Version: c.options.Version, PID: os.Getpid(), LUNs: []api.LUN{}, Sessions: c.sessions(), CHAP: api.CHAP(c.target.CHAPCounters())}
	if c.cluster == nil {
		s.LUNs = append(s.LUNs, c.localStatus()...)
	}
	c.mu.Unlock()
	if c.cluster == nil {
		return s, nil
	}
	s.Cluster, s.Node, s.Mode = conf.HA.Cluster, int(conf.HA.ID), conf.HA.Mode.String()
	ns, err := c.cluster.node.Status()
	if err != nil {
		return api.Status{}, err
	}
	s.Drained = ns.Drained[ha.NodeID(conf.HA.ID)]
	for _, p := range ns.Peers {
		s.Nodes = append(s.Nodes, api.Node{ID: int(p.Node), Address: p.Address, Link: int(p.State), Drained: ns.Drained[p.Node], Problem: p.Problem})
	}
	for _, u := range ns.Units {
		s.LUNs = append(s.LUNs, unitStatus(conf, u))
	}
	s.Arbiter = c.cluster.arbiterStatus(ctx)
	return s, nil
}

// localStatus describes the logical units of a controller without high
// availability.
func (c *Controller) localStatus() []api.LUN {
	var out []api.LUN
	for _, l := range c.config.LUNs {
		u := c.local[l.Name]
		out = append(out, api.LUN{
			Name: l.Name, Mappings: mappings(c.config, l), Size: uint64(u.device.Size()),
			Role: "primary", Access: "active/optimized", Serving: true,
		})
	}
	return out
}

// unitStatus describes a logical unit of the cluster.
func unitStatus(conf *ctlconf.Config, u node.UnitStatus) api.LUN {
	l := conf.LUN(u.LUN)
	out := api.LUN{
		Name: u.LUN, Mappings: mappings(conf, l), Size: l.Size, Role: "secondary", Access: u.Access.String(),
		Serving: u.Serving, Primary: int(u.Grant.Primary), Epoch: u.Grant.Epoch,
		Held: u.Held, Doing: u.Doing, Alarm: u.Alarm,
	}
	if u.Grant.Primary == ha.NodeID(conf.HA.ID) {
		out.Role = "primary"
	}
	for _, n := range u.Grant.Candidates {
		out.Candidates = append(out.Candidates, int(n))
	}
	return out
}

func mappings(conf *ctlconf.Config, l *ctlconf.LUN) []api.Mapping {
	var out []api.Mapping
	for _, t := range conf.Targets {
		for _, m := range t.LUNs {
			if m.LUN == l {
				out = append(out, api.Mapping{Target: t.Name, LUN: int(m.Number)})
			}
		}
	}
	return out
}

func (c *Controller) sessions() []api.Session {
	out := []api.Session{}
	for _, s := range c.target.Sessions() {
		next := api.Session{Initiator: s.Initiator, Address: s.InitiatorAddress.String(), Target: s.Target, Portal: s.Portal.String()}
		var digests []string
		if s.Parameters.Digests.Header != iscsi.NoDigest {
			digests = append(digests, "header")
		}
		if s.Parameters.Digests.Data != iscsi.NoDigest {
			digests = append(digests, "data")
		}
		next.Digests = strings.Join(digests, "+")
		out = append(out, next)
	}
	return out
}

// arbiterPatience is how long status waits for the arbiter.
const arbiterPatience = 1500 * time.Millisecond

func (cl *cluster) arbiterStatus(ctx context.Context) *api.Arbiter {
	out := &api.Arbiter{Kind: cl.kind.String()}
	store, ok := cl.store.(*etcd.Store)
	if !ok {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, arbiterPatience)
	defer cancel()
	s, err := store.Status(ctx)
	if err != nil {
		out.Problem = err.Error()
		return out
	}
	out.Quorum, out.Leader = s.Quorum, s.Leader
	for _, m := range s.Members {
		out.Members = append(out.Members, m.Name)
	}
	return out
}

// Ports implements api.Controller.
func (c *Controller) Ports(context.Context) ([]api.Port, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []api.Port
	seen := map[int]bool{}
	for _, t := range c.config.Targets {
		for _, tp := range t.Ports {
			if tp.PortalGroup.Foreign {
				continue
			}
			n, err := c.ports.number(portKey{t.Name, tp.PortalGroup.Name})
			if err != nil {
				return nil, err
			}
			seen[int(n)] = true
			out = append(out, api.Port{
				Port: int(n), Online: true, Frontend: "iscsi", Name: "iscsi",
				Physical: int(tp.PortalGroup.Tag), Virtual: 1, Target: portName(t, tp.PortalGroup),
			})
		}
	}
	if c.cluster != nil {
		out = append(out, c.cluster.peerPorts(c.config, seen)...)
	}
	slices.SortFunc(out, func(a, b api.Port) int { return cmp.Compare(a.Port, b.Port) })
	return out, nil
}

// peerPorts are the ports of the other controllers, as they told.
func (cl *cluster) peerPorts(conf *ctlconf.Config, seen map[int]bool) []api.Port {
	var out []api.Port
	for _, l := range conf.LUNs {
		for id, ports := range cl.node.Ports(l.Name) {
			for _, p := range ports {
				if seen[int(p.Relative)] {
					continue
				}
				seen[int(p.Relative)] = true
				next := api.Port{Port: int(p.Relative), Online: true, Frontend: "ha", Name: fmt.Sprintf("%d:iscsi", id), Virtual: 1, Target: p.Name}
				if i := strings.LastIndex(p.Name, ",t,0x"); i >= 0 {
					// The tag is in the port's name; one that is not is shown as 0.
					_, _ = fmt.Sscanf(p.Name[i:], ",t,0x%x", &next.Physical)
				}
				out = append(out, next)
			}
		}
	}
	return out
}
