// Command manifest checks Kubernetes manifests as the API server does: no unknown field,
// its own validation after defaulting, no warning, and the Pod Security Standard
// "restricted". It reads documents from standard input, and prints every problem.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podapi "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	podsecurity "k8s.io/pod-security-admission/api"
	securitypolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := checkAll(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// checkAll checks every document and returns all problems.
func checkAll(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var problems []error
	for documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data))); ; {
		document := make([]byte, len(data)+1)
		n, err := documents.Read(document)
		if errors.Is(err, io.EOF) {
			return errors.Join(problems...)
		} else if err != nil {
			return err
		}
		var meta metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document[:n], &meta); err != nil {
			return err
		}
		if meta.Kind == "" { // comments only
			continue
		}
		if err := check(document[:n], meta.Kind); err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", meta.Kind, meta.Name, err))
		}
	}
}

func check(document []byte, kind string) error {
	if kind == "ServiceMonitor" { // a custom resource of the Prometheus operator
		return yaml.UnmarshalStrict(document, &monitoringv1.ServiceMonitor{})
	}
	codecs := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDecoder().Decode(document, nil, nil)
	if err != nil {
		return err
	}
	accessor, ok := object.(metav1.ObjectMetaAccessor)
	if !ok {
		return fmt.Errorf("unexpected %T", object)
	}
	if meta := accessor.GetObjectMeta(); meta.GetNamespace() == "" {
		meta.SetNamespace(metav1.NamespaceDefault) // the client's part
	}
	if service, is := object.(*core.Service); is && service.Spec.ClusterIP != "" && len(service.Spec.ClusterIPs) == 0 {
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP} // what the server does before it validates
	}
	if failed := validate(object).ToAggregate(); failed != nil {
		return failed
	}
	switch o := object.(type) {
	case *apps.Deployment:
		return checkPod(&o.Spec.Template)
	case *apps.StatefulSet:
		return checkPod(&o.Spec.Template)
	}
	return nil
}

// validate is the API server's validation of a new object.
func validate(object runtime.Object) field.ErrorList {
	switch o := object.(type) {
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, podOptions(&o.Spec.Template))
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(o, appsvalidation.StatefulSetValidationOptions{}, podOptions(&o.Spec.Template))
	case *core.Service:
		return validation.ValidateServiceCreate(o)
	case *core.ConfigMap:
		return validation.ValidateConfigMap(o)
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o)
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{})
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("no validation for %T: add it here", object))}
}

func podOptions(template *core.PodTemplateSpec) validation.PodValidationOptions {
	return podapi.GetValidationOptionsFromPodTemplate(template, nil)
}

// checkPod returns what the API server warns of, and what "restricted" forbids.
func checkPod(template *core.PodTemplateSpec) error {
	var problems []error
	for _, warning := range podapi.GetWarningsForPodTemplate(context.Background(), field.NewPath("spec", "template"), template, nil) {
		problems = append(problems, errors.New(warning))
	}
	var external corev1.PodTemplateSpec
	if err := corev1conversion.Convert_core_PodTemplateSpec_To_v1_PodTemplateSpec(template, &external, nil); err != nil {
		return err
	}
	evaluator, err := securitypolicy.NewEvaluator(securitypolicy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &external.ObjectMeta, &external.Spec) {
		if !result.Allowed {
			problems = append(problems, fmt.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	return errors.Join(problems...)
}
