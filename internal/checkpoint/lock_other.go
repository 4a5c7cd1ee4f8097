//go:build !unix

package checkpoint

import (
	"errors"
	"os"
)

func flock(*os.File) error { return errors.New("this system has no lock for a folder") }
