module github.com/sluice-project/sluice/deploy/tools/testsum

go 1.26.0
