// Package controllers stands in for a module that few mirrors of the module proxy have. Cilium's
// translator uses this one name of it, for a kind of object that the tests do not have.
package controllers

// DerivedServiceAnnotation is an annotation of a ServiceImport.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
