package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/token"
	"imago/cmd/imago/cli"
	"imago/config/regularfile"
	"imago/core/naming"
	"imago/core/picturefile"
	"imago/ports"
)

// defaultTTL is how long a token of this command is valid, and maxTTL the
// longest age that token.max_age can allow.
const defaultTTL, maxTTL = time.Minute, 24 * time.Hour

// maxPicture is the most that server.limits.image_bytes can allow.
const maxPicture = 100 << 20

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make keys for encrypted pictures, and encrypt pictures",
		Example: "  imago token keygen keys.json --device device.json\n" +
			"  imago token seal face.jpg --jwk device.json",
	}
	cmd.AddCommand(tokenKeygenCommand(), tokenSealCommand())
	return cmd
}

func tokenKeygenCommand() *cobra.Command {
	var algorithm, kid, device string
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Add a new key to the JWK Set in FILE",
		Long: "Adds a new key to the JWK Set in FILE, for token.keys_file; a missing FILE is created.\n" +
			"A running imago reloads it by itself. --device writes the key for the capture device:\n" +
			"the public key, or for dir and A256KW the shared secret key. To rotate, add a key, move\n" +
			"the devices to it, and remove the old one from FILE.",
		Example: "  imago token keygen keys.json --device device.json\n" +
			"  imago token keygen keys.json --alg RSA-OAEP-256 --kid gate-2027",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return keygen(cmd, args[0], algorithm, kid, device)
		},
	}
	cmd.Flags().StringVar(&algorithm, "alg", "ECDH-ES+A256KW", "algorithm: "+strings.Join(token.Algorithms(), ", "))
	cli.CompleteFlag(cmd, "alg", cli.OneOf(token.Algorithms()...))
	cmd.ValidArgsFunction = cli.FirstArgument(cli.Files("json"))
	cmd.Flags().StringVar(&kid, "kid", "", "name of the key (default the date and time)")
	cmd.Flags().StringVar(&device, "device", "", "new file for the device's key")
	return cmd
}

func keygen(cmd *cobra.Command, path, algorithm, kid, device string) error {
	if kid == "" {
		kid = time.Now().UTC().Format("20060102-150405")
	}
	pair, err := token.Generate(algorithm, kid)
	if err != nil {
		return cli.Usage(err)
	}
	deviceKey, err := pair.Device()
	if err != nil {
		return err
	}
	if device != "" {
		if err := writeNew(device, deviceKey); err != nil {
			return err
		}
	}
	if err := pair.AddTo(path); err != nil {
		if device != "" {
			err = errors.Join(err, os.Remove(device)) // it belongs to no key
		}
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "added key %s for %s to %s\n", kid, algorithm, path)
	return err
}

// writeNew writes a file that was not there and that only its owner can read.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

func tokenSealCommand() *cobra.Command {
	var jwk, kid string
	var ttl time.Duration
	var purpose ports.Purpose
	cmd := &cobra.Command{
		Use:   "seal FILE",
		Short: "Encrypt a picture into a token",
		Long: "Encrypts a JPEG or PNG picture into a token, which takes the place of the picture in a\n" +
			"request. It is valid from now on, and only once where token.replay_cache is set. The\n" +
			"key is a JWK or one of a JWK Set; a public key is enough.",
		Example: "  imago token seal face.jpg --jwk device.json\n" +
			"  echo '{\"face\":\"'$(imago token seal face.jpg --jwk device.json)'\"}' |\n" +
			"    curl http://127.0.0.1:8080/users/search -H \"x-api-key: $IMAGO_API_KEY\" -d @-",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"operation", "collection"} {
				if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
					return cli.Usagef("--%s is empty: leave it out for a token that is good for any", name)
				}
			}
			return seal(cmd, args[0], jwk, kid, ttl, purpose)
		},
	}
	cmd.Flags().StringVar(&jwk, "jwk", "", "file with the key")
	cli.CompleteFlag(cmd, "jwk", cli.Files("json", "jwk"))
	cmd.ValidArgsFunction = cli.FirstArgument(cli.Files("jpg", "jpeg", "jpe", "jfif", "png"))
	cmd.Flags().StringVar(&kid, "kid", "", "which key of a set (default the only one)")
	cmd.Flags().DurationVar(&ttl, "ttl", defaultTTL, "how long the token is valid; imago may allow less")
	cmd.Flags().StringVar((*string)(&purpose.Operation), "operation", "", "the one operation that the token is good for: enrol or search (default any)")
	cmd.Flags().StringVar(&purpose.Collection, "collection", "", "the one collection that the token is good for (default any)")
	cli.CompleteFlag(cmd, "operation", cli.OneOf(string(ports.OpEnrol), string(ports.OpSearch)))
	cli.CompleteFlag(cmd, "collection", configuredCollections)
	return cmd
}

// checkPurpose validates --operation and --collection.
func checkPurpose(p ports.Purpose) error {
	if p.Operation != "" && p.Operation != ports.OpEnrol && p.Operation != ports.OpSearch {
		return fmt.Errorf("--operation must be %s or %s: no other takes a picture", ports.OpEnrol, ports.OpSearch)
	}
	if p.Collection == "" {
		return nil
	}
	if err := naming.CheckCollection(p.Collection); err != nil {
		return fmt.Errorf("--collection: %w", err)
	}
	return nil
}

func seal(cmd *cobra.Command, path, jwk, kid string, ttl time.Duration, purpose ports.Purpose) error {
	if jwk == "" {
		return cli.Usagef("--jwk must name the file with the key; imago token keygen makes one")
	}
	if ttl < time.Second || ttl > maxTTL {
		return cli.Usagef("--ttl must be %s to %s", time.Second, maxTTL)
	}
	if err := checkPurpose(purpose); err != nil {
		return cli.Usage(err)
	}
	sealer, err := token.LoadSealer(jwk, kid)
	if err != nil {
		return cli.Usage(err)
	}
	picture, err := regularfile.Read(path, maxPicture)
	if err != nil {
		return err
	}
	if reason := picturefile.ContentProblem(picture); reason != "" {
		return cli.Usagef("%s: %s", path, reason)
	}
	sealed, err := sealer.Seal(picture, time.Now(), ttl, purpose)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), sealed)
	return err
}
