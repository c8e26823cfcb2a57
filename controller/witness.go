package controller

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/pidfile"
)

// RejoinWitness has the other members of the arbiter replace a witness whose
// data is lost, and returns when they have.
func RejoinWitness(ctx context.Context, w *ctlconf.Witness, log *slog.Logger) error {
	return etcd.Rejoin(ctx, witnessMember(w, log))
}

func witnessMember(w *ctlconf.Witness, log *slog.Logger) etcd.Config {
	return memberConfig(w.File, w.Cluster, w.Name, w.Arbiter, tlsFiles(w.Certificate, w.Key, w.CA), log)
}

// RunWitness is the third vote: a member of the arbiter that serves no disk.
// It runs until ctx ends.
func RunWitness(ctx context.Context, w *ctlconf.Witness, log *slog.Logger) error {
	if w.PIDFile != "" {
		f, err := pidfile.Acquire(w.PIDFile)
		if err != nil {
			return err
		}
		defer f.Release()
	}
	credentials, err := identity.Load(w.Certificate, w.Key, w.CA)
	if err != nil {
		return fmt.Errorf("witness section: %w", err)
	}
	if got, want := credentials.Identity(), identity.OfWitness(w.Cluster, w.Name); got != want {
		return w.Errorf(w.At("certificate"), "the certificate is of %v, expected one of %v", got, want)
	}
	member, err := etcd.Start(witnessMember(w, log))
	if err != nil {
		return fmt.Errorf("arbiter: %w", err)
	}
	defer member.Close()
	select {
	case <-ctx.Done():
		return nil
	case <-member.Done():
		return fmt.Errorf("arbiter: %w", member.Err())
	case <-member.Ready():
		log.Info("ready", "witness", w.Name, "arbiter", w.Arbiter.Listen)
	}
	select {
	case <-ctx.Done():
		log.Info("stopped")
		return nil
	case <-member.Done():
		return fmt.Errorf("arbiter: %w", member.Err())
	}
}
