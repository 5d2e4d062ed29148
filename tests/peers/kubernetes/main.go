// Reads Kubernetes manifests as the cluster's own types have them: what these do not know is an error.
package main

import (
	"fmt"
	"os"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func typed(kind metav1.TypeMeta) (any, error) {
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 ServiceAccount":
		return &corev1.ServiceAccount{}, nil
	case "v1 ConfigMap":
		return &corev1.ConfigMap{}, nil
	case "v1 Secret":
		return &corev1.Secret{}, nil
	case "v1 PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}, nil
	case "batch/v1 CronJob":
		return &batchv1.CronJob{}, nil
	}
	return nil, fmt.Errorf("no type is known for %s %s", kind.APIVersion, kind.Kind)
}

func check(text string) (string, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return "", err
	}
	object, err := typed(kind)
	if err != nil {
		return "", err
	}
	return kind.Kind, yaml.UnmarshalStrict([]byte(text), object)
}

func main() {
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			kind, err := check(document)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
				os.Exit(1)
			}
			fmt.Println(kind)
		}
	}
}
