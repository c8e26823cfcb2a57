package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
	"github.com/tandem-san/tandem/ha/arbiter/manual"
	"github.com/tandem-san/tandem/ha/node"
	"github.com/tandem-san/tandem/ha/reserve"
	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/statefile"
)

// cluster is the part of a controller that only high availability needs.
type cluster struct {
	node   *node.Node
	store  arbiter.Store
	member *etcd.Member // of the embedded arbiter, or nil
	kind   ctlconf.ArbiterKind
}

// openCluster joins the cluster as configured; nothing runs yet.
func openCluster(c *ctlconf.Config, states *statefile.Dir, ports *portNumbers, pool *block.Pool, log *slog.Logger, disconnect func(context.Context, string) (int, error)) (*cluster, error) {
	h := c.HA
	credentials, err := identity.Load(h.Certificate, h.Key, h.CA)
	if err != nil {
		return nil, fmt.Errorf("ha section: %w", err)
	}
	for _, w := range credentials.Warnings() {
		log.Warn(w)
	}
	if got, want := credentials.Identity(), identity.OfNode(h.Cluster, h.ID); got != want {
		return nil, c.Errorf(h.At("certificate"), "the certificate is of %v, expected one of %v", got, want)
	}
	units, err := clusterUnits(c, ports, pool, log)
	if err != nil {
		return nil, err
	}
	cl := &cluster{kind: h.Arbiter.Kind}
	if err := cl.openArbiter(c, log); err != nil {
		return nil, err
	}
	cl.node, err = node.New(node.Config{
		Cluster: h.Cluster, Self: ha.NodeID(h.ID), Mode: node.Mode(h.Mode),
		Listen: h.Listen.String(), Peers: peers(h), Credentials: credentials,
		Heartbeat: h.Heartbeat, Lease: h.Lease,
		Store: cl.store, Manual: h.Arbiter.Kind == ctlconf.ArbiterNone,
		Units: units, States: states, Pool: pool, Disconnect: disconnect, Log: log,
	})
	if err != nil {
		cl.closeArbiter()
		return nil, err
	}
	return cl, nil
}

func peers(h *ctlconf.HA) map[ha.NodeID]string {
	out := map[ha.NodeID]string{}
	for _, p := range h.Peers {
		out[ha.NodeID(p.ID)] = p.Address.String()
	}
	return out
}

// clusterUnits describes the logical units to the node. Each backend is opened
// once to see that it can be.
func clusterUnits(c *ctlconf.Config, ports *portNumbers, pool *block.Pool, log *slog.Logger) ([]node.UnitConfig, error) {
	var units []node.UnitConfig
	for _, l := range c.LUNs {
		fence, err := fenceOf(c, l, log)
		if err != nil {
			return nil, err
		}
		device, err := openBackend(l, log)
		if err != nil {
			return nil, c.Errorf(l.At("path"), "%v", err)
		}
		size := device.Size()
		if err := device.Close(); err != nil {
			return nil, fmt.Errorf("logical unit %s: %w", l.Name, err)
		}
		p, err := ports.portsOf(c, l)
		if err != nil {
			return nil, err
		}
		units = append(units, node.UnitConfig{
			Name:     l.Name,
			Home:     l.Options.Role == ctlconf.RolePrimary,
			Fence:    fence,
			Describe: describe(unitConfig(c, l), size) + fmt.Sprintf(", path %q, fence %v", l.Path, l.Options.Fence.Kind),
			Ports:    p,
			Failback: failback(l),
			New: func(h node.Hooks) (*lun.LogicalUnit, error) {
				return newLogicalUnit(c, l, pool, log, h)
			},
			Open: func() (block.Device, error) { return openBackend(l, log) },
		})
	}
	return units, nil
}

// fenceOf is how other controllers are kept from writing. A disk without
// reservations is refused where these are the fence.
func fenceOf(c *ctlconf.Config, l *ctlconf.LUN, log *slog.Logger) (node.Fence, error) {
	f := l.Options.Fence
	if f.Kind != ctlconf.FencePR {
		return node.Fence{PIDFile: f.Path, Command: f.Command}, nil
	}
	disk := reserve.New(reserve.Config{
		Path: l.Path, Cluster: c.HA.Cluster, Node: c.HA.ID,
		Open: func() (block.Device, error) { return openBackend(l, log) },
	})
	if err := disk.Check(); err != nil {
		return node.Fence{}, c.Errorf(l.At("option fence"), "fence pr: %v", err)
	}
	log.Info("persistent reservations are the fence", "lun", l.Name, "path", l.Path, "key", disk.Key())
	return node.Fence{Disk: disk}, nil
}

// failback is after how long a logical unit comes home; 0: never.
func failback(l *ctlconf.LUN) time.Duration {
	if !l.Options.Failback {
		return 0
	}
	return l.Options.FailbackHold
}

// openArbiter starts or reaches what keeps the grants.
func (cl *cluster) openArbiter(c *ctlconf.Config, log *slog.Logger) error {
	h := c.HA
	switch a := h.Arbiter; a.Kind {
	case ctlconf.ArbiterEmbedded:
		member, err := etcd.Start(ownMember(c, log))
		if err != nil {
			return fmt.Errorf("arbiter: %w", err)
		}
		cl.member = member
		store, err := member.Store(ha.NodeID(h.ID), 0)
		if err != nil {
			member.Close()
			return fmt.Errorf("arbiter: %w", err)
		}
		cl.store = store
	case ctlconf.ArbiterEtcd:
		store, err := etcd.Connect(etcd.ClientConfig{
			Endpoints: a.Etcd.Endpoints, CA: a.Etcd.CA, Cert: a.Etcd.Certificate, Key: a.Etcd.Key,
			Cluster: h.Cluster, Node: ha.NodeID(h.ID), Log: log,
		})
		if err != nil {
			return fmt.Errorf("arbiter: %w", err)
		}
		cl.store = store
	default:
		log.Warn("there is no arbiter: when the primary dies traffic stops until an operator types 'tandem promote LUN --force'")
		cl.store = manual.New(ha.NodeID(h.ID), ha.DefaultStartGrace)
	}
	return nil
}

func (cl *cluster) closeArbiter() {
	cl.store.Close()
	if cl.member != nil {
		cl.member.Close()
	}
}

// close closes a cluster that has not run.
func (cl *cluster) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// What it says is that it was ended.
	_ = cl.run(ctx)
}

// run takes part in the cluster until ctx ends.
func (cl *cluster) run(ctx context.Context) error {
	defer cl.closeArbiter()
	return cl.node.Run(ctx)
}

// tlsFiles names the files for the arbiter's own mutual TLS.
func tlsFiles(cert, key, ca string) etcd.Credentials {
	return etcd.Credentials{Cert: cert, Key: key, CA: ca, ServerName: "localhost"}
}

// Rejoin has the other members of the arbiter replace that of this controller,
// whose data is lost, and returns when they have.
func Rejoin(ctx context.Context, c *ctlconf.Config, log *slog.Logger) error {
	if c.HA == nil || c.HA.Arbiter.Kind != ctlconf.ArbiterEmbedded {
		return errors.New("there is nothing to replace: this controller has no member of an embedded arbiter")
	}
	return etcd.Rejoin(ctx, ownMember(c, log))
}

// ownMember is the configuration of a controller's member.
func ownMember(c *ctlconf.Config, log *slog.Logger) etcd.Config {
	h := c.HA
	return memberConfig(c.File, h.Cluster, fmt.Sprint(h.ID), *h.Arbiter.Embedded, tlsFiles(h.Certificate, h.Key, h.CA), log)
}

// memberConfig translates the configuration of an embedded arbiter, which stands
// in file. What allows the first start lies beside that.
func memberConfig(file, clusterName, self string, a ctlconf.EmbeddedArbiter, tls etcd.Credentials, log *slog.Logger) etcd.Config {
	members := map[string]string{}
	for _, m := range a.Members {
		members[m.Name] = m.Address.String()
	}
	listen := ""
	if a.Listen != (netip.AddrPort{}) {
		listen = a.Listen.String()
	}
	return etcd.Config{
		Cluster: clusterName, Self: self, DataDir: a.Data, FirstStart: ctlconf.FirstStart(file, self),
		Listen: listen, Members: members, TLS: tls, Log: log,
	}
}
