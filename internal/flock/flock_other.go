//go:build !unix

package flock

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.New("this system has no lock for a folder") }
