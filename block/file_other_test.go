//go:build !linux

package block

func linuxBackends() []backend { return nil }
