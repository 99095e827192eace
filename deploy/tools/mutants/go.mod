module github.com/sluice-project/sluice/deploy/tools/mutants

go 1.26.0
